"""Activation codes, guessing made slow, and limits of requests, on real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.directory import RoleName
from services.gateway.domain import COOKIE, DEVICE_COOKIE
from tests import rosters
from tests.gateway.front import Browser, FrontDoor, opened

PASSWORD = "a long password"
OWN = {"login": "mother@home", "password": PASSWORD}


@pytest.fixture
async def door(database_url: str, private_key: str) -> AsyncIterator[FrontDoor]:
    limits = {"sign_in_account": 3, "sign_in_address": 8, "reads_per_second": 0.1, "reads_burst": 12}
    async with opened(database_url, private_key, **limits) as found:
        yield found


async def activate(browser: Browser, code: str, own: dict[str, str] | None) -> tuple[int, Any]:
    body = {"code": code} | ({"own": own} if own else {})
    status, found, _ = await browser.ask("POST", "/v1/activations", json=body)
    return status, found


async def sign_in(browser: Browser, login: str, password: str = PASSWORD, address: str = "") -> tuple[int, str]:
    body = {"login": login, "password": password}
    headers = {"X-Forwarded-For": address} if address else {}
    status, _, answer = await browser.ask("POST", "/v1/sessions", json=body, headers=headers)
    return status, answer.headers.get("Retry-After", "")


async def token(door: FrontDoor, person: str) -> str:
    await door.account(person, person)
    headers = {"Authorization": f"Bearer {door.operator}"}
    body = {"account": person, "name": "t"}
    async with door.http.post(f"{door.url}/v1/tokens", json=body, headers=headers) as answer:
        return str((await answer.json())["token"])


async def test_a_code_makes_one_account_once(door: FrontDoor) -> None:
    former, code = await door.code("mother"), await door.code("mother")
    browser = door.browser()
    assert (await activate(browser, former, OWN))[1]["code"] == "wrong-code"
    assert (await activate(browser, code, None))[1]["code"] == "no-identity"
    await door.account("teacher", "Taken@home")
    assert (await activate(browser, code, OWN | {"login": "taken@HOME"}))[1]["code"] == "login-taken"
    assert (await activate(browser, code, OWN | {"password": "short"}))[1]["code"] == "invalid"
    status, body = await activate(browser, code, OWN)
    assert (status, body["account"]) == (201, {"login": "mother@home", "person": str(rosters.uid("mother"))})
    assert (await browser.ask("GET", "/v1/tokens"))[0] == 200
    assert (await activate(door.browser(), code, OWN | {"login": "again"}))[1]["code"] == "wrong-code"
    assert (await sign_in(door.browser(), "MOTHER@home"))[0] == 201
    async with door.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM activation_codes") == 0


async def test_a_code_ends_by_itself_and_with_an_account_made_otherwise(door: FrontDoor) -> None:
    code, other = (
        await door.code("mother"),
        await door.code("head"),
    )
    async with door.database.transaction() as connection:
        await connection.execute(
            "UPDATE activation_codes SET expires_at = now() WHERE person = $1", rosters.uid("mother")
        )
    assert (await activate(door.browser(), code, OWN))[1]["code"] == "wrong-code"
    await door.account("head", "other")
    assert (await activate(door.browser(), other, OWN))[1]["code"] == "wrong-code"


async def test_who_makes_codes_for_whom(door: FrontDoor) -> None:
    async with door.database.transaction() as connection:
        await rosters.fill(connection, rosters.adult("father", RoleName.GUARDIAN, RoleName.TEACHER))
    head, teacher = await token(door, "head"), await token(door, "teacher")
    status, body = await door.codes("mother", "zoé", by=head)
    assert status == 201
    assert [one["person"] for one in body["items"]] == [str(rosters.uid(one)) for one in ("mother", "zoé")]
    assert (await door.codes("mother", by=teacher))[0] == 403
    # Staff, who has an account, and who is nobody: all alike.
    await door.account("ali", "ali")
    status, body = await door.codes("mother", "father", "ali", "nobody", "other teacher", by=head)
    assert (status, [e["field"] for e in body["errors"]]) == (422, [f"people.{n}" for n in (1, 2, 3, 4)])
    status, body = await door.codes("ali", "nobody")
    assert (status, [e["field"] for e in body["errors"]]) == (422, ["people.1"])


async def test_a_head_makes_no_codes_for_another_school(door: FrontDoor) -> None:
    elsewhere = rosters.adult("far away", RoleName.GUARDIAN)
    role = elsewhere.roles[0].model_copy(update={"uai": "0920001A"})
    async with door.database.transaction() as connection:
        await rosters.fill(connection, rosters.school(uai="0920001A"), elsewhere.model_copy(update={"roles": [role]}))
    assert (await door.codes("far away", by=await token(door, "head")))[0] == 422
    assert (await door.codes("far away"))[0] == 201


async def test_codes_are_not_guessed(door: FrontDoor) -> None:
    code, browser = await door.code("mother"), door.browser()
    found = [(await activate(browser, f"AAAA-AAAA-AAA{c}", OWN))[0] for c in "ACDEFGHJ"]
    assert found == [422] * 8
    status, _, answer = await browser.ask("POST", "/v1/activations", json={"code": code, "own": OWN})
    assert status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 300


async def test_who_hammers_an_account_does_not_lock_its_owners_phone_out(door: FrontDoor) -> None:
    await door.account("mother", "mother")
    phone, attacker = door.browser(), door.browser()
    assert (await sign_in(phone, "mother"))[0] == 201
    assert DEVICE_COOKIE in phone.cookies
    for login in ("mother", "nobody"):
        found = [(await sign_in(attacker, login, "wrong"))[0] for _ in range(4)]
        assert found == [401, 401, 401, 429], login
    del phone.cookies[COOKIE]
    assert (await sign_in(phone, "mother"))[0] == 201
    # That did not open the account to the attacker again; nor does the phone guess freely, or for others.
    assert (await sign_in(attacker, "mother"))[0] == 429
    assert [(await sign_in(phone, "mother", "wrong"))[0] for _ in range(4)] == [401, 401, 401, 429]
    assert (await sign_in(phone, "nobody", "wrong"))[0] == 429


async def test_waits_grow_and_success_is_no_guess(door: FrontDoor) -> None:
    await door.account("mother", "mother")
    # A whole school behind one address signs in: none of it counts.
    assert [(await sign_in(door.browser(), "mother"))[0] for _ in range(12)] == [201] * 12
    browser, waits = door.browser(), []
    for n in range(3):
        while (await sign_in(browser, "mother", "wrong", f"192.0.2.{n}"))[0] == 401:
            pass
        waits.append(int((await sign_in(browser, "mother", PASSWORD, f"192.0.2.{n}"))[1]))
        async with door.database.transaction() as connection:
            await connection.execute("UPDATE sign_in_attempts SET free_at = now()")
    assert 55 <= waits[0] <= 60
    assert 115 <= waits[1] <= 120
    assert 235 <= waits[2] <= 240


async def test_too_many_requests_are_refused_with_what_a_client_needs(door: FrontDoor) -> None:
    mother, teacher = await token(door, "mother"), await token(door, "teacher")

    async def read(secret: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        async with door.http.get(f"{door.url}/v1/tokens", headers=headers) as answer:
            return answer.status, answer.headers, await answer.json(content_type=None)

    # The first is still nobody's, as far as this process knows.
    assert [(await read(mother))[0] for _ in range(13)] == [200] * 13
    status, headers, problem = await read(mother)
    assert (status, problem["code"]) == (429, "too-many-requests")
    assert 0 < int(headers["Retry-After"]) <= 10
    assert headers["RateLimit-Policy"] == '"reads";q=12;w=120'
    assert headers["RateLimit"] == f'"reads";r=0;t={headers["Retry-After"]}'
    assert (await read(teacher))[0] == 200
