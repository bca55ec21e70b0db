"""Guessing passwords, logins, codes and ids: every miss looks the same, takes the same, and soon has to wait."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable

import pytest

from tests.abuse.scene import Scene
from tests.abuse.sockets import Answer, exchange
from tests.platform import Login, Platform

MOST_GUESSES = 10
"""Failed attempts one account takes before each next one has to wait."""
JSON = {"Content-Type": "application/json"}


def from_address(number: int) -> dict[str, str]:
    """Another client's address each, as the trusted proxy of this machine would tell it."""
    return {"X-Forwarded-For": f"198.51.100.{number}"}


async def attempt(platform: Platform, login: str, password: str, address: int) -> Answer:
    body = json.dumps({"login": login, "password": password}).encode()
    return await exchange(platform, "POST", "/v1/sessions", JSON | from_address(address), body)


def told(answer: Answer) -> tuple[int, dict[str, str], set[str]]:
    """All that tells one miss from another."""
    document = json.loads(answer.body)
    document.pop("request")
    return answer.status, document, set(answer.headers)


async def test_a_login_that_nobody_has_is_a_wrong_password_and_is_counted_as_one(scene: Scene) -> None:
    """From several addresses too: what is guessed at counts, whoever guesses."""
    platform = scene.platform
    account = await asyncio.to_thread(platform.new_account, scene.victim.adult)
    nobody = f"test-{uuid.uuid4()}"
    heard: dict[str, list[tuple[int, dict[str, str], set[str]]]] = {account.login: [], nobody: []}
    for n in range(MOST_GUESSES + 2):
        for login, answers in heard.items():
            answers.append(told(await attempt(platform, login, f"guess-{n}-of-it", n)))
    assert heard[account.login] == heard[nobody]
    assert [status for status, _, _ in heard[nobody]] == [401] * (MOST_GUESSES + 1) + [429] or [
        status for status, _, _ in heard[nobody]
    ] == [401] * MOST_GUESSES + [429] * 2
    late = await attempt(platform, account.login, account.password, 99)
    assert late.status == 429
    assert int(late.headers["retry-after"]) > 0
    assert "set-cookie" not in late.headers


async def medians(
    first: Callable[[], Awaitable[object]], second: Callable[[], Awaitable[object]], count: int
) -> list[float]:
    """How long each takes at the median, tried by turns, so that what the machine does meanwhile hits both."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for times, work in zip(took, (first, second), strict=True):
            began = time.perf_counter()
            await work()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


async def test_a_login_that_nobody_has_takes_as_long(platform: Platform) -> None:
    accounts = [await asyncio.to_thread(platform.new_account, None) for _ in range(2)]
    turn = iter(range(1000))

    async def known() -> None:
        number = next(turn)
        assert (await attempt(platform, accounts[number % 2].login, "not the password", 110)).status == 401

    async def unknown() -> None:
        assert (await attempt(platform, f"test-{next(turn)}-{uuid.uuid4()}", "not the password", 110)).status == 401

    for account in accounts:
        await asyncio.to_thread(forgive, platform, account)
    one, other = await medians(known, unknown, 8)
    # A password is checked in tens of milliseconds, an account looked up in one.
    assert 0.5 < one / other < 2


def forgive(platform: Platform, account: Login) -> None:
    platform.ok("PUT", f"/v1/accounts/{account.login}/password", {"password": account.password}, by="operator")


async def test_a_code_that_does_not_hold_tells_nothing_of_a_login(scene: Scene) -> None:
    """The code is looked at before the login: whoever has none learns no login."""
    answers = []
    for login in (scene.victim.account.login, f"test-{uuid.uuid4()}"):
        for code in ("AAAA-AAAA-AAAA", "' OR 1=1 --", "0"):
            body = json.dumps({"code": code, "own": {"login": login, "password": "a long password"}}).encode()
            answers.append(await exchange(scene.platform, "POST", "/v1/activations", JSON | from_address(120), body))
    assert {answer.status for answer in answers} == {422}
    first = told(answers[0])
    assert all(told(answer) == first for answer in answers)


@pytest.mark.parametrize("path", ["/v1/pupils/{pupil}/grades", "/v1/people/{pupil}", "/v1/assessments/{assessment}"])
async def test_an_id_of_somebody_takes_as_long_as_nobodys(scene: Scene, path: str) -> None:
    login = scene.strangers["a classmate's parent"]
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(scene.platform.token, login)}"}
    theirs = path.format(pupil=scene.victim.pupil, assessment=scene.victim.assessment)

    async def there() -> None:
        assert (await exchange(scene.platform, "GET", theirs, headers)).status == 404

    async def missing() -> None:
        nobodys = path.format(pupil=uuid.uuid4(), assessment=uuid.uuid4())
        assert (await exchange(scene.platform, "GET", nobodys, headers)).status == 404

    one, other = await medians(there, missing, 25)
    print(f"{path}: {one * 1000:.2f} ms, {other * 1000:.2f} ms")
    assert 0.5 < one / other < 2


SQL = (
    "' OR '1'='1",
    "'; DROP TABLE accounts; --",
    "\\'; SELECT pg_sleep(5); --",
    "1) OR (1=1",
    "%27%20OR%201=1",
    "$1",
    "{}",
    "%",
    "_",
)


async def test_no_text_is_a_statement(scene: Scene) -> None:
    platform = scene.platform
    # A token that is made for the first time is a row of its own.
    token = await asyncio.to_thread(platform.token, scene.strangers["another school's head"])
    before = await asyncio.to_thread(scene.victim.stored)
    headers = {"Authorization": f"Bearer {token}"}
    for number, text in enumerate(SQL):
        began = time.monotonic()
        said = "".join(f"%{byte:02x}" for byte in text.encode())
        assert (await attempt(platform, text, text, 130 + number)).status == 401
        assert (await attempt(platform, scene.victim.account.login, text, 150)).status == 401
        for path in (
            f"/v1/schools/{said}", f"/v1/schools?after={said}", f"/v1/feed?before={said}", f"/v1/feed?category={said}",
            f"/v1/pupils/{said}/grades", f"/v1/schools/0921234S/audit?action={said}", f"/v1/me/messages?before={said}",
            f"/v1/assessments?group={said}", f"/v1/schools/0921234S/groups?kind={said}",
        ):  # fmt: skip
            answer = await exchange(platform, "GET", path, headers)
            assert 400 <= answer.status < 500, (path, answer)
        assert time.monotonic() - began < 5
    assert await asyncio.to_thread(scene.victim.stored) == before
