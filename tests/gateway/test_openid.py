"""Signing in with OpenID Connect: a real provider in a process of its own, a real gateway on real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from infra.local.ports import free_port
from services.gateway.domain import COOKIE, FLOW_COOKIE, IDENTITY_COOKIE
from services.gateway.openid.tokens import LOGOUT_EVENT
from tests import rosters
from tests.gateway.front import FrontDoor, opened, query
from tests.provider import CLIENT, SECRET, ProviderProcess

PORT = free_port()
EXPIRED, INVALID = "/connexion?erreur=expired", "/connexion?erreur=invalid"
UNAVAILABLE, REFUSED = "/connexion?erreur=unavailable", "/connexion?erreur=refused"


@pytest.fixture(scope="module")
def running() -> Iterator[ProviderProcess]:
    base = f"http://127.0.0.1:{PORT}"
    found = ProviderProcess(free_port(), [f"{base}/v1/sign-in/school/callback"], f"{base}/connexion?parti")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def provider(running: ProviderProcess) -> ProviderProcess:
    running.tell()
    return running


@pytest.fixture
async def door(database_url: str, private_key: str, provider: ProviderProcess) -> AsyncIterator[FrontDoor]:
    school = {
        "name": "school", "label": {"fr": "le collège", "en": "the school"}, "issuer": provider.issuer,
        "client_id": CLIENT, "client_secret": SECRET,
    }  # fmt: skip
    away = {**school, "name": "away", "issuer": "http://127.0.0.1:1"}
    async with opened(database_url, private_key, port=PORT, sign_in_providers=[school, away]) as found:
        yield found


async def linked(door: FrontDoor, user: str = "camille", person: str = "mother") -> None:
    """Have a person's identity known."""
    browser = door.browser()
    assert await browser.sign_in(user) == "/activation"
    status, body, _ = await browser.ask("POST", "/v1/activations", json={"code": await door.code(person)})
    assert status == 201, body


async def test_a_code_links_once_and_the_next_time_goes_straight_in(door: FrontDoor) -> None:
    code, browser = await door.code("mother"), door.browser()
    assert await browser.sign_in() == "/activation"
    assert COOKIE not in browser.cookies
    _, listed, _ = await browser.ask("GET", "/v1/sign-in")
    assert ([one["name"] for one in listed["items"]], listed["pending"]) == (["school", "away"], "school")
    typed = code.lower().replace("-", " ")
    status, body, _ = await browser.ask("POST", "/v1/activations", json={"code": typed})
    assert (status, body["account"]["person"]) == (201, str(rosters.uid("mother")))
    assert COOKIE in browser.cookies
    assert IDENTITY_COOKIE not in browser.cookies
    again = door.browser()
    assert await again.sign_in(suite="/?rubrique=grades") == "/?rubrique=grades"
    assert (await again.ask("GET", "/v1/tokens"))[0] == 200
    assert FLOW_COOKIE not in again.cookies
    # The code is used up.
    other = door.browser()
    assert await other.sign_in("somebody") == "/activation"
    status, problem, _ = await other.ask("POST", "/v1/activations", json={"code": code})
    assert (status, problem["code"]) == (422, "wrong-code")


async def test_the_request_has_what_the_protocol_asks(door: FrontDoor) -> None:
    asked = query(await door.browser().to_provider())
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert (asked["response_type"], asked["scope"], asked["client_id"]) == ("code", "openid", CLIENT)
    status, _, answer = await door.browser().ask("GET", "/v1/sign-in/school?suite=https://elsewhere.example/")
    cookie = answer.headers["Set-Cookie"].lower()
    assert status == 303
    assert all(word in cookie for word in (f"{FLOW_COOKIE.lower()}=", "secure", "httponly", "samesite=lax", "path=/"))


SPOILED = (
    "nonce", "no-nonce", "issuer", "audience", "party", "expired", "future", "subject", "at_hash", "none", "hs256",
    "forged", "garbage", "huge",
)  # fmt: skip


async def test_nothing_a_provider_spoils_signs_anybody_in(door: FrontDoor, provider: ProviderProcess) -> None:
    await linked(door)
    found = {}
    for mode in SPOILED:
        provider.tell(mode=mode)
        browser = door.browser()
        found[mode] = await browser.sign_in()
        assert COOKIE not in browser.cookies, mode
    assert found == dict.fromkeys(SPOILED, INVALID)
    for mode in ("broken", "slow"):
        provider.tell(mode=mode)
        assert await door.browser().sign_in() == UNAVAILABLE
    provider.tell()
    assert await door.browser().sign_in() == "/"


async def test_a_provider_that_is_another_or_away_is_said_on_the_sign_in_page(
    door: FrontDoor, provider: ProviderProcess
) -> None:
    provider.tell(mode="discovery")
    assert await door.browser().to_provider() == INVALID
    _, _, answer = await door.browser().ask("GET", "/v1/sign-in/away")
    assert answer.headers["Location"] == UNAVAILABLE
    assert (await door.browser().ask("GET", "/v1/sign-in/nobody"))[0] == 404


async def test_a_refusal_at_the_provider_comes_back_as_one(door: FrontDoor) -> None:
    browser = door.browser()
    back = await browser.agreed(await browser.to_provider(), "camille", "no")
    assert query(back)["error"] == "access_denied"
    assert (await browser.ask("GET", back))[2].headers["Location"] == REFUSED


async def test_keys_rotate_while_the_gateway_runs(door: FrontDoor, provider: ProviderProcess) -> None:
    await linked(door)
    for _ in range(2):
        provider.tell(rotate=True)
        assert await door.browser().sign_in() == "/"


async def test_an_answer_is_of_one_browser_and_used_once(door: FrontDoor) -> None:
    await linked(door)
    browser, thief = door.browser(), door.browser()
    back = await browser.agreed(await browser.to_provider(), "camille")
    kept = dict(browser.cookies)
    assert (await thief.ask("GET", back))[2].headers["Location"] == EXPIRED
    await thief.to_provider()
    assert (await thief.ask("GET", back))[2].headers["Location"] == EXPIRED
    assert COOKIE not in thief.cookies
    assert (await browser.ask("GET", back))[2].headers["Location"] == "/"
    replayed = door.browser()
    replayed.cookies = kept
    assert (await replayed.ask("GET", back))[2].headers["Location"] == EXPIRED
    assert COOKIE not in replayed.cookies
    # A sign-in that began with one provider is not ended by another's answer.
    mixed = door.browser()
    back = await mixed.agreed(await mixed.to_provider(), "camille")
    other = back.replace("/school/", "/away/")
    assert (await mixed.ask("GET", other))[2].headers["Location"] == EXPIRED


async def test_another_issuer_in_the_answer_is_a_mix_up(door: FrontDoor) -> None:
    browser = door.browser()
    back = await browser.agreed(await browser.to_provider(), "camille")
    assert (await browser.ask("GET", f"{back}&iss=http://127.0.0.1:1"))[2].headers["Location"] == INVALID


async def test_signing_out_ends_here_and_leads_to_the_provider(door: FrontDoor) -> None:
    await linked(door)
    browser = door.browser()
    await browser.sign_in()
    held = dict(browser.cookies)
    status, body, _ = await browser.ask("DELETE", "/v1/sessions/current")
    assert status == 200
    assert COOKIE not in browser.cookies
    asked = query(body["end_session"])
    assert asked["id_token_hint"].count(".") == 2
    status, _, answer = await browser.ask("GET", body["end_session"])
    assert (status, answer.headers["Location"]) == (302, f"{door.url}/connexion?parti")
    old = door.browser()
    old.cookies = held
    assert (await old.ask("GET", "/v1/tokens"))[0] == 401


async def test_a_provider_ends_sessions_by_itself(door: FrontDoor, provider: ProviderProcess) -> None:
    await linked(door)
    now = int(time.time())
    good: dict[str, Any] = {
        "iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "sub": "camille",
        "events": {LOGOUT_EVENT: {}},
    }  # fmt: skip
    wrong: tuple[dict[str, Any], ...] = (
        {"events": {}}, {"nonce": "n"}, {"aud": "another"}, {"iss": "http://127.0.0.1:1"}, {"sub": None},
        {"exp": now - 600}, {"jti": None},
    )  # fmt: skip

    async def tell(**claims: Any) -> int:
        given = {k: v for k, v in (good | claims).items() if v is not None}
        token = provider.tell(sign=given)["token"]
        return (await door.browser().ask("POST", "/v1/sign-in/school/logout", data={"logout_token": token}))[0]

    browser = door.browser()
    await browser.sign_in()
    assert [await tell(**{"jti": f"wrong {n}", **one}) for n, one in enumerate(wrong)] == [400] * len(wrong)
    assert await count(door) == 2
    assert await tell(jti="another's", sub="somebody else") == 200
    assert await count(door) == 2
    assert await tell(jti="one", sid="session of camille") == 200
    assert await count(door) == 0
    assert await tell(jti="one") == 400


async def count(door: FrontDoor) -> int:
    async with door.database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM credentials WHERE kind = 'session'")
        return found
