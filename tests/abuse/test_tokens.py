"""Sessions and tokens that are stolen, over, forged or another's, at the front door and at the services behind it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.identity import TokenSigner
from cli.running_home import RunningHome
from services.gateway.routing import api_services
from tests.abuse.operators import undescribed
from tests.abuse.scene import Scene
from tests.abuse.sockets import COOKIE, cookie_in, exchange, get, session_of, sign_in
from tests.journeys.test_bad_input import bodies, operations
from tests.platform import Platform


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(scene: Scene, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    subject = f"people/{scene.victim.adult}"
    return {"iss": "preau-gateway", "sub": subject, "aud": "grades", "iat": now, "exp": now + 60} | changes


def segment(value: dict[str, Any]) -> str:
    return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()


def forgeries(scene: Scene) -> Iterator[tuple[str, str]]:
    """Tokens for the grades service that its gateway never signed, in the name of a parent who has the right."""
    home = scene.platform.home
    private, public = home.private_key.read_text(), home.public_key.read_text()
    said, stranger = claims(scene), Ed25519PrivateKey.generate()
    payload = segment(said)
    for name in ("none", "None", "NONE", ""):
        yield f"alg {name}", f"{segment({'alg': name, 'typ': 'JWT'})}.{payload}."
    for secret in (public, public.strip(), public.replace("\n", "")):
        signing = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{payload}".encode()
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing, secret.encode())
        yield "the public key as a secret", f"{signing.decode()}.{jwt.utils.base64url_encode(signature).decode()}"
    yield "another key", jwt.encode(said, stranger, "EdDSA")
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(stranger.public_key()))
    yield "a key of its own", jwt.encode(said, stranger, "EdDSA", headers={"jwk": jwk, "kid": "../../public.pem"})
    yield "over", jwt.encode(claims(scene, iat=0, exp=int(time.time()) - 10), private, "EdDSA")
    yield "another audience", TokenSigner(private.encode()).sign(said["sub"], "directory")
    yield "every audience", jwt.encode(claims(scene, aud=None), private, "EdDSA")
    yield "another issuer", jwt.encode(claims(scene, iss="preau"), private, "EdDSA")
    yield "nobody", jwt.encode(claims(scene, sub="people/"), private, "EdDSA")
    yield "no end", jwt.encode({k: v for k, v in said.items() if k != "exp"}, private, "EdDSA")
    head, body, signature_text = jwt.encode(said, private, "EdDSA").split(".")
    other = segment(claims(scene, sub="operators/operator"))
    yield "another's name under a signature", f"{head}.{other}.{signature_text}"
    yield "no signature", f"{head}.{body}."
    yield "a token of the front door", scene.platform.operator_token


async def test_a_service_reached_around_the_gateway_refuses_whom_the_gateway_has_not_sent(
    scene: Scene, services: dict[str, str]
) -> None:
    mine = f"{services['grades']}/v1/pupils/{scene.victim.pupil}/grades"
    good = TokenSigner(scene.platform.home.private_key.read_bytes()).sign(f"people/{scene.victim.adult}", "grades")
    async with aiohttp.ClientSession() as http:
        async with http.get(mine, headers=bearer(good)) as answer:
            assert answer.status == 200
        for name, token in forgeries(scene):
            async with http.get(mine, headers=bearer(token)) as answer:
                assert answer.status == 401, name
        async with http.get(mine, headers={"Authorization": good}) as answer:
            assert answer.status == 401
        async with http.get(mine, headers={"Cookie": f"{COOKIE}={good}"}) as answer:
            assert answer.status == 401


async def test_no_endpoint_of_a_service_answers_without_a_token(scene: Scene, services: dict[str, str]) -> None:
    tried, wrong = 0, []
    async with aiohttp.ClientSession() as http:
        asked = list(undescribed())
        for name in sorted(api_services()):
            async with http.get(f"{services[name]}/openapi.json") as answer:
                asked += [(name, method, path) for method, path, _ in operations(await answer.json())]
        for name, method, path in asked:
            body = bodies(scene.victim).get(f"{method} {path}")
            for headers in ({}, bearer("a.b.c"), {"X-Forwarded-User": "operator"}):
                url, tried = services[name] + scene.victim.path(path), tried + 1
                async with http.request(method, url, json=body, headers=headers) as answer:
                    if answer.status != 401:
                        wrong.append(f"{name}: {method} {path}: {answer.status}")
    assert wrong == []
    assert tried > 100


async def test_what_is_the_operators_is_no_persons_around_the_gateway_either(
    scene: Scene, services: dict[str, str]
) -> None:
    """A teacher's and a parent's inward tokens are good there, and lead to nothing."""
    signer, answers = TokenSigner(scene.platform.home.private_key.read_bytes()), dict[str, int]()
    async with aiohttp.ClientSession() as http:
        for (name, method, path), person in itertools.product(
            undescribed(), (scene.victim.adult, scene.victim.teacher)
        ):
            headers = bearer(signer.sign(f"people/{person}", name))
            async with http.request(method, services[name] + path, headers=headers) as answer:
                answers[f"{name}: {method} {path}"] = answer.status
    assert set(answers.values()) == {404}, answers
    assert {name.partition(":")[0] for name in answers} == {"feed", "grades"}


async def test_the_front_door_takes_no_inward_token_and_no_session_for_a_token(scene: Scene) -> None:
    platform = scene.platform
    inward = TokenSigner(platform.home.private_key.read_bytes()).sign(f"people/{scene.victim.adult}", "directory")
    cookie = await session_of(platform, platform.guardian)
    secret, token = cookie.partition("=")[2], await asyncio.to_thread(platform.token, platform.guardian.login)
    assert (await get(platform, "/v1/me", cookie)).status == 200
    refused = [
        bearer(inward), bearer(secret), {"Cookie": f"{COOKIE}={token}"}, {"Cookie": f"{COOKIE}={inward}"},
        bearer(token[:-1]), bearer(token + "a"), bearer(token.upper()), bearer(f"{token},{token}"),
        {"Authorization": f"Basic {token}"}, {"Authorization": token}, bearer("' OR 1=1 --"), bearer("preau_" + "a" * 5000),
        {"Cookie": f"x={secret}"}, {"X-Api-Key": token},
    ]  # fmt: skip
    for headers in refused:
        assert (await exchange(platform, "GET", "/v1/me", headers)).status == 401, headers
    for query in (f"?access_token={token}", f"?token={token}", f"?Authorization=Bearer%20{token}"):
        assert (await exchange(platform, "GET", "/v1/me" + query)).status == 401


async def test_a_token_that_is_over_or_revoked_is_nobodys_at_every_worker(scene: Scene) -> None:
    platform = scene.platform
    body = {"account": scene.victim.account.login, "name": "à voler", "expires_in": 3600}
    over, stolen = [await asyncio.to_thread(platform.ok, "POST", "/v1/tokens", body, by="operator") for _ in range(2)]
    connection = await asyncpg.connect(RunningHome.of(platform.home).database_url("gateway"))
    try:
        past = "UPDATE credentials SET expires_at = now() - interval '1 second' WHERE id = $1"
        assert await connection.execute(past, over["id"]) == "UPDATE 1"
    finally:
        await connection.close()
    statuses = [(await exchange(platform, "GET", "/v1/me", bearer(stolen["token"]))).status for _ in range(8)]
    assert statuses == [200] * 8
    await asyncio.to_thread(platform.ok, "DELETE", f"/v1/tokens/{stolen['id']}", by="operator")
    async with asyncio.timeout(5):
        while {(await exchange(platform, "GET", "/v1/me", bearer(stolen["token"]))).status for _ in range(8)} != {401}:
            pass
    assert (await exchange(platform, "GET", "/v1/me", bearer(over["token"]))).status == 401
    assert (await exchange(platform, "GET", "/v1/stream", bearer(over["token"]))).status == 401


async def test_a_session_that_somebody_else_chose_is_never_taken_over(platform: Platform) -> None:
    """Neither a made-up one nor the attacker's own becomes the victim's when the victim signs in with it."""
    attackers = await session_of(platform, platform.stranger)
    for planted in (f"{COOKIE}=chosen-by-somebody-else-0123456789abcdef", attackers):
        answer = await sign_in(platform, platform.guardian, {"Cookie": planted})
        fresh = cookie_in(answer.headers)
        assert answer.status == 201
        assert fresh != planted
        assert (await get(platform, "/v1/me", planted)).status == 401
        assert (await get(platform, "/v1/me", fresh)).status == 200
    form = f"login={platform.guardian.login}&password={platform.guardian.password}".encode()
    headers = {
        "Cookie": f"{COOKIE}=planted",
        "Origin": platform.base_url,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await exchange(platform, "POST", "/connexion", headers, form)
    assert answer.status == 303
    assert cookie_in(answer.headers) not in ("", f"{COOKIE}=planted")


async def test_a_cookie_tossed_beside_the_own_does_not_win(platform: Platform) -> None:
    """The browser sends the longer path, or the older, first; a host-bound name can be tossed under no other path."""
    own, attackers = await session_of(platform, platform.guardian), await session_of(platform, platform.stranger)
    mine = (await get(platform, "/v1/me", own)).body
    tossed = [
        f"{own}; {attackers}", f"preau_session={attackers.partition('=')[2]}; {own}",
        f"__host-preau_session={attackers.partition('=')[2]}; {own}", f"__Host-preau_session ={attackers}; {own}",
    ]  # fmt: skip
    for cookies in tossed:
        assert (await get(platform, "/v1/me", cookies)).body == mine, cookies
    answer = await sign_in(platform, platform.guardian)
    for line in answer.headers["set-cookie"].splitlines():
        given = {part.strip().lower() for part in line.split(";")[1:]}
        assert line.startswith("__Host-")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= given
        assert not any(part.startswith("domain=") for part in given)


async def test_signing_out_ends_the_session_for_a_thief_too(platform: Platform) -> None:
    cookie = await session_of(platform, platform.guardian)
    answer = await exchange(platform, "DELETE", "/v1/sessions/current", {"Cookie": cookie, "Origin": platform.base_url})
    assert answer.status == 204
    async with asyncio.timeout(5):
        while {(await get(platform, "/v1/me", cookie)).status for _ in range(8)} != {401}:
            pass


@pytest.mark.parametrize("key", ["abuse-of-another", "1", "../../x"])
async def test_anothers_idempotency_key_answers_nothing_of_theirs(scene: Scene, key: str) -> None:
    platform, by = scene.platform, scene.victim.teacher_account.login
    body = {"group": scene.victim.group, "title": "Sous clé", "held_on": str(platform.school_day())}
    headers = {"Idempotency-Key": key}

    def post(login: str) -> Any:
        return platform.call("POST", "/v1/assessments", body, by=login, headers=headers)

    first = await asyncio.to_thread(post, by)
    assert first.status == 201
    assert (await asyncio.to_thread(post, by)).body == first.body
    for login in scene.strangers.values():
        reply = await asyncio.to_thread(post, login)
        assert reply.status == 404
        assert first.body["id"] not in json.dumps([reply.body, reply.headers])
