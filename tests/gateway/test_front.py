"""Signing in, accounts, tokens, and the way through to the services."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp import web

from chassis.identity import unauthenticated
from services.gateway.domain import COOKIE
from tests.gateway.conftest import Gateway, Services, Start, claims, person

PASSWORD = "a long password"


async def call(
    gateway: Gateway, method: str, path: str, token: str = "", **options: Any
) -> tuple[int, Any, aiohttp.ClientResponse]:
    headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    async with gateway.http.request(method, gateway.url + path, headers=headers, **options) as response:
        body = await response.json(content_type=None) if response.status != 204 else None
        return response.status, body, response


async def signed_in(gateway: Gateway, name: str, password: str = PASSWORD) -> tuple[int, str]:
    status, _, response = await call(
        gateway, "POST", "/v1/sessions", json={"login": f"{name.upper()}@test", "password": password}
    )
    cookie = response.cookies.get(COOKIE)
    return status, cookie.value if cookie else ""


async def test_a_session_from_sign_in_to_sign_out(gateway: Gateway) -> None:
    await gateway.token("mother")
    status, _, response = await call(
        gateway, "POST", "/v1/sessions", json={"login": "MOTHER@test", "password": PASSWORD}
    )
    cookie = response.headers["Set-Cookie"].lower()
    assert status == 201
    assert all(word in cookie for word in ("secure", "httponly", "samesite=lax", "path=/"))
    headers = {"Cookie": f"{COOKIE}={response.cookies[COOKIE].value}"}
    status, echoed, _ = await call(gateway, "GET", "/v1/me?x=%C3%A9", headers=headers)
    assert (status, echoed["path"]) == (200, "/v1/me?x=%C3%A9")
    said = claims(echoed["headers"])
    assert (said["sub"], said["aud"]) == (f"people/{person('mother')}", "directory")
    assert "Cookie" not in echoed["headers"]
    host = gateway.url.removeprefix("http://")
    status, problem, _ = await call(gateway, "DELETE", "/v1/sessions/current", headers=headers)
    assert (status, problem["code"]) == (403, "foreign-site")
    ours = headers | {"Origin": f"https://{host}"}
    assert (await call(gateway, "DELETE", "/v1/sessions/current", headers=ours))[0] == 204
    assert (await call(gateway, "GET", "/v1/me", headers=headers))[0] == 401


async def test_signing_in_again_ends_the_session_one_came_with(gateway: Gateway) -> None:
    await gateway.token("mother")
    _, first = await signed_in(gateway, "mother")
    old = {"Cookie": f"{COOKIE}={first}"}
    body = {"login": "mother@test", "password": PASSWORD}
    assert (await call(gateway, "POST", "/v1/sessions", headers=old, json=body))[0] == 201
    assert (await call(gateway, "GET", "/v1/me", headers=old))[0] == 401


async def test_wrong_passwords_are_refused_alike_and_then_counted(start: Start) -> None:
    gateway = await start(sign_in_account=3, sign_in_address=6)
    await gateway.token("mother")
    for _ in range(3):
        assert (await signed_in(gateway, "mother", "wrong"))[0] == 401
    status, problem, response = await call(
        gateway, "POST", "/v1/sessions", json={"login": "mother@test", "password": PASSWORD}
    )
    assert (status, problem["code"]) == (429, "too-many-attempts")
    assert 0 < int(response.headers["Retry-After"]) <= 900
    found = [(await signed_in(gateway, f"nobody {n}", "wrong"))[0] for n in range(3)]
    assert found == [401, 401, 429]


async def test_accounts_are_the_operators(gateway: Gateway) -> None:
    mother = await gateway.token("mother")
    body = {"login": "new@test", "password": PASSWORD, "person": str(person("father"))}
    assert (await call(gateway, "POST", "/v1/accounts", mother, json=body))[0] == 403
    key = {"Idempotency-Key": "one"}
    first = await call(gateway, "POST", "/v1/accounts", gateway.operator, json=body, headers=key)
    again = await call(gateway, "POST", "/v1/accounts", gateway.operator, json=body, headers=key)
    assert first[:2] == again[:2] == (201, {"login": "new@test", "person": str(person("father"))})
    taken = await call(gateway, "POST", "/v1/accounts", gateway.operator, json=body | {"login": "NEW@TEST"})
    assert (taken[0], taken[1]["code"]) == (409, "login-taken")
    _, cookie = await signed_in(gateway, "new")
    new = {"password": "another long password"}
    assert (await call(gateway, "PUT", "/v1/accounts/new@test/password", gateway.operator, json=new))[0] == 204
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    status, _ = await signed_in(gateway, "new", "another long password")
    assert status == 201
    assert (await signed_in(gateway, "new"))[0] == 401
    assert (await call(gateway, "DELETE", "/v1/accounts/new@test", gateway.operator))[0] == 204
    assert (await call(gateway, "DELETE", "/v1/accounts/new@test", gateway.operator))[0] == 404
    assert (await signed_in(gateway, "new", "another long password"))[0] == 401
    async with gateway.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM credentials WHERE kind = 'session'") == 0
    assert headers


async def test_people_have_tokens_of_their_own_alone(gateway: Gateway) -> None:
    mother, other = await gateway.token("mother"), await gateway.token("other mother")
    listed = (await call(gateway, "GET", "/v1/tokens", mother))[1]["items"]
    assert [one["account"] for one in listed] == ["mother@test"]
    assert (await call(gateway, "DELETE", f"/v1/tokens/{listed[0]['id']}", other))[0] == 404
    body = {"account": "mother@test", "name": "not mine"}
    assert (await call(gateway, "POST", "/v1/tokens", other, json=body))[0] == 404
    everyones = (await call(gateway, "GET", "/v1/tokens", gateway.operator))[1]["items"]
    assert {"operator", "mother@test", "other mother@test"} == {one["account"] for one in everyones}
    async with gateway.database.connection() as connection:
        kept = await connection.fetchval("SELECT string_agg(credentials::text, ' ') FROM credentials")
    assert mother not in kept


async def test_what_nobody_may_and_what_nobody_answers(gateway: Gateway) -> None:
    status, problem, response = await call(gateway, "GET", "/v1/me")
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert response.headers["X-Request-Id"]
    assert (await call(gateway, "GET", "/v1/me", "preau_nonsense"))[0] == 401
    assert (await call(gateway, "GET", "/v1/nothing", gateway.operator))[0] == 404
    assert (await call(gateway, "GET", "/v1/schemas/nothing"))[0] == 404
    status, schema, _ = await call(gateway, "GET", "/v1/schemas/feed.item.put.v1")
    assert (status, schema["$id"]) == (200, "/v1/schemas/feed.item.put.v1")


async def test_requests_go_through_as_they_are(gateway: Gateway) -> None:
    headers = {"X-Request-Id": "request-12345678", "X-Forwarded-For": "203.0.113.9", "Idempotency-Key": "k"}
    status, echoed, response = await call(
        gateway, "POST", "/v1/schools?a=1", gateway.operator, data=b'{"a": 1}', headers=headers
    )
    sent = echoed["headers"]
    assert (status, echoed["body"], echoed["path"]) == (200, '{"a": 1}', "/v1/schools?a=1")
    assert ({k.lower(): v for k, v in sent.items()}["x-request-id"], sent["idempotency-key"]) == (
        "request-12345678",
        "k",
    )
    assert claims(sent)["sub"] == "operators/operator"
    assert response.headers.getall("X-Request-Id") == ["request-12345678"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_pages_get_the_session_and_nothing_else_of_the_cookies(gateway: Gateway) -> None:
    await gateway.token("mother")
    _, secret = await signed_in(gateway, "mother")
    headers = {"Cookie": f"other=1; {COOKIE}={secret}"}
    _, echoed, response = await call(gateway, "GET", "/family", headers=headers)
    assert echoed["headers"]["Cookie"] == f"{COOKIE}={secret}"
    assert "Authorization" not in echoed["headers"]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert (await call(gateway, "POST", "/family", headers=headers))[0] == 403


async def test_bodies_are_bounded(start: Start, services: Services) -> None:
    gateway = await start(body_bytes=2048)
    status, problem, _ = await call(gateway, "POST", "/v1/schools", gateway.operator, data=b"x" * 4096)
    assert (status, problem["code"]) == (413, "body-too-large")

    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 100

    status, problem, _ = await call(gateway, "POST", "/v1/schools", gateway.operator, data=endless())
    assert (status, problem["code"]) == (413, "body-too-large")
    assert services.asked == []


async def test_a_body_that_does_not_arrive_is_given_up(start: Start) -> None:
    gateway = await start(request_seconds=0.3)
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/schools HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.operator}\r\nContent-Length: 9\r\n"
    writer.write(head.encode() + b"\r\nabc")
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


async def test_services_that_are_slow_or_gone(start: Start, services: Services) -> None:
    gateway = await start(upstream_seconds=0.2, services={"directory": services.url, "feed": "http://127.0.0.1:1"})

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    services.answer = hang
    status, problem, response = await call(gateway, "GET", "/v1/me", gateway.operator)
    assert (status, problem["code"]) == (504, "too-slow")
    assert response.headers["Retry-After"]
    status, problem, response = await call(gateway, "GET", "/v1/feed", gateway.operator)
    assert (status, problem["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"]
    assert (await call(gateway, "GET", "/v1/assessments?group=1", gateway.operator))[0] == 503


async def test_a_service_that_refuses_the_gateways_own_token_is_no_fault_of_the_visitor(
    gateway: Gateway, services: Services
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        problem = unauthenticated()
        return web.json_response(problem.document(), status=problem.status, headers=problem.headers)

    services.answer = refuse
    status, problem, response = await call(gateway, "GET", "/v1/me", gateway.operator)
    assert (status, problem["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"]
    assert "WWW-Authenticate" not in response.headers
    # Who has not signed in is told so as ever, and pages say for themselves whom they know.
    assert (await call(gateway, "GET", "/v1/me", "preau_nonsense"))[0] == 401
    assert (await call(gateway, "GET", "/family"))[0] == 401


async def test_one_description_of_the_whole_api(gateway: Gateway, services: Services) -> None:
    async def describe(_: web.Request) -> web.Response:
        return web.json_response({"paths": {"/v1/feed": {"get": {}}, "/v1/me": {"get": {}}}})

    services.answer = describe
    _, document, _ = await call(gateway, "GET", "/v1/openapi.json")
    assert {"/v1/feed", "/v1/me", "/v1/stream", "/v1/sessions"} <= set(document["paths"])


async def test_health_and_metrics(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.admin}/health/ready") as response:
        assert response.status == 200
    async with gateway.http.get(f"{gateway.admin}/metrics") as response:
        assert response.status == 200
