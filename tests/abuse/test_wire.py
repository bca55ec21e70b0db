"""Bytes that two readers could take differently: each connection gets one answer a request, and nothing hides in another."""

from __future__ import annotations

import asyncio

import pytest

from tests.abuse.scene import Scene
from tests.abuse.sockets import Answer, exchange, request, wire
from tests.platform import Platform

HIDDEN = "DELETE /v1/tokens/{token} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {operator}\r\n\r\n"
"""What would be smuggled: it can be seen by what it does."""

REFUSED = {
    "CL.TE": "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "TE.CL": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{size}\r\n{hidden}\r\n0\r\n\r\n",
    "TE.TE": "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n{hidden}",
    "identity": "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}",
    "chunked is not last": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}",
    "compressed on the way": "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{hidden}",
    "almost chunked": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}",
    "a vertical tab before chunked": "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{hidden}",
    "a space after the name": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}",
    "a folded coding": "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{hidden}",
    "two lengths": "Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}",
    "the same length twice": "Content-Length: 0\r\nContent-Length: 0\r\n\r\n{hidden}",
    "a list of lengths": "Content-Length: 0, {length}\r\n\r\n{hidden}",
    "a signed length": "Content-Length: +0\r\n\r\n{hidden}",
    "a hexadecimal length": "Content-Length: 0x0\r\n\r\n{hidden}",
    "a length past 64 bits": "Content-Length: 18446744073709551616\r\n\r\n{hidden}",
    "an empty length": "Content-Length:\r\n\r\n{hidden}",
    "a folded header": "X-A: b\r\n c\r\n\r\n{hidden}",
    "a line feed alone": "X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "a carriage return alone": "X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    "a NUL": "X-A: b\x00c\r\n\r\n{hidden}",
    "a name in quotes": '"X-A": b\r\n\r\n{hidden}',
    "no name": ": b\r\n\r\n{hidden}",
    "a line feed in a chunk's extension": "Transfer-Encoding: chunked\r\n\r\n2;a\nxx\r\n{{}}\r\n0\r\n\r\n{hidden}",
    "a chunk past 64 bits": "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{{}}\r\n0\r\n\r\n{hidden}",
    "a chunk longer than it says": "Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}xx0\r\n\r\n{hidden}",
    "chunks ended by line feeds": "Transfer-Encoding: chunked\r\n\r\n2\n{{}}\n0\n\n{hidden}",
    "two hosts": "Host: evil.example\r\n\r\n{hidden}",
}
"""How the head of a POST goes on, and what follows it."""

LINES = {
    "no host": "GET /v1/me HTTP/1.1\r\n\r\n",
    "a line feed for an end": "GET /v1/me HTTP/1.1\nHost: x\n\n",
    "a space in the target": "GET /v1/me x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line break in the target": "GET /v1/me\r\nX-A: b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the target": "GET /v1/me\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": "CONNECT 127.0.0.1:5432 HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": "GET /v1/me\r\n\r\n",
    "HTTP/2 by its first words": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "chunks in HTTP/1.0": "POST /v1/tokens HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

ALONE = {
    "an upgrade to HTTP/2": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n{hidden}",
    "an upgrade to WebSocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n{hidden}",
    "an end that was announced": "Connection: close\r\n\r\n{hidden}",
}
"""Heads of a sound GET after which nothing more is a request."""


def hidden(scene: Scene) -> str:
    return HIDDEN.format(token=scene.victim.token, operator=scene.platform.operator_token)


async def unhurt(scene: Scene) -> None:
    """What was hidden was not done, and the next who ask are answered each their own."""
    for login, person in ((scene.victim.account.login, scene.victim.adult), (scene.victim.teacher_account.login, None)):
        token = scene.platform.token(login)
        answer = await exchange(scene.platform, "GET", "/v1/me", {"Authorization": f"Bearer {token}"})
        assert answer.status == 200
        assert (person or scene.victim.teacher).encode() in answer.body
    listed = await asyncio.to_thread(scene.platform.ok, "GET", "/v1/tokens", by="operator")
    assert scene.victim.token in {one["id"] for one in listed["items"]}


async def refused(platform: Platform, data: str) -> str | None:
    """What is wrong with the answer to what is no request; None where it is one refusal and the end."""
    async with wire(platform.base_url) as connection:
        await connection.send(data.encode("latin-1"))
        answer = await connection.answer()
        if answer is None or answer.status != 400 or answer.headers["content-type"] != "application/problem+json":
            return f"answers {answer}"
        return None if await connection.ended() else "goes on"


async def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(scene: Scene) -> None:
    token = await asyncio.to_thread(scene.platform.token, scene.platform.guardian.login)
    inside, wrong = hidden(scene), []
    head = f"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    sizes = {"hidden": inside, "length": len(inside) + 5, "size": f"{len(inside):x}"}
    for name, rest in REFUSED.items():
        if fault := await refused(scene.platform, head + rest.format(**sizes)):
            wrong.append(f"{name}: {fault}")
    for name, line in LINES.items():
        if fault := await refused(scene.platform, line):
            wrong.append(f"{name}: {fault}")
    assert wrong == []
    await unhurt(scene)


@pytest.mark.parametrize("rest", ALONE.values(), ids=ALONE.keys())
async def test_nothing_is_a_request_after_the_last(scene: Scene, rest: str) -> None:
    async with wire(scene.platform.base_url) as connection:
        await connection.send(f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{rest.format(hidden=hidden(scene))}".encode())
        answer = await connection.answer()
        assert answer is not None
        assert answer.status == 401
    await unhurt(scene)


async def test_a_body_that_looks_like_a_request_stays_a_body(scene: Scene) -> None:
    """Sent on under another length, or with a method that has no body, it would be the next request of a shared connection."""
    token = await asyncio.to_thread(scene.platform.token, scene.platform.guardian.login)
    body = hidden(scene).encode()
    chunked = f'{len(body):x};a="b"\r\n'.encode() + body + b"\r\n0\r\n\r\n"
    for method in ("GET", "HEAD", "DELETE", "POST", "OPTIONS"):
        for headers, sent in (({"Content-Length": str(len(body))}, body), ({"Transfer-Encoding": "chunked"}, chunked)):
            async with wire(scene.platform.base_url) as connection:
                given = {"Host": "x", "Authorization": f"Bearer {token}", **headers}
                lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
                await connection.send(f"{method} /v1/me/messages HTTP/1.1\r\n{lines}\r\n".encode() + sent)
                line = await connection.reader.readline()
                assert int(line.split()[1]) in (200, 405)
    await unhurt(scene)


async def test_trailers_are_no_headers(scene: Scene) -> None:
    """A proxy in front of us looks at headers alone; a trailer must not say what it would have removed."""
    data = (
        "POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        f"Trailer: Authorization\r\n\r\n2\r\n{{}}\r\n0\r\nAuthorization: Bearer {scene.platform.operator_token}\r\n\r\n"
    )
    async with wire(scene.platform.base_url) as connection:
        await connection.send(data.encode())
        answer = await connection.answer()
    assert answer is not None
    assert answer.status == 401


async def test_what_a_client_says_for_the_gateway_goes_no_further(scene: Scene) -> None:
    """Headers by which proxies speak, a forged inward token beside the own, and headers it asks to be dropped."""
    token = await asyncio.to_thread(scene.platform.token, scene.platform.guardian.login)
    own = {"Authorization": f"Bearer {token}"}
    tricks: list[dict[str, str]] = [
        {"Connection": "close, Authorization"}, {"Connection": "X-Forwarded-For"}, {"X-Original-URL": "/v1/tokens"},
        {"X-Rewrite-URL": "/v1/tokens"}, {"X-HTTP-Method-Override": "DELETE"}, {"X-Method-Override": "PUT"},
        {"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Prefix": "/v1/tokens"}, {"Forwarded": "host=evil.example"},
        {"X-Request-Id": "a b"}, {"X-Request-Id": "x" * 2000}, {"traceparent": "00-" + "f" * 500},
    ]  # fmt: skip
    plain = await exchange(scene.platform, "GET", "/v1/me", own)
    for trick in tricks:
        answer = await exchange(scene.platform, "GET", "/v1/me", own | trick)
        assert (answer.status, answer.body) == (200, plain.body), trick
        assert answer.headers["x-request-id"] != trick.get("X-Request-Id")


async def test_addresses_lead_where_they_say(scene: Scene) -> None:
    """Paths written in other ways reach no more than the plain ones, and never a file."""
    token = await asyncio.to_thread(scene.platform.token, scene.platform.guardian.login)
    own = {"Authorization": f"Bearer {token}"}
    for path in (
        "/v1/feed/../tokens", "/v1/feed/%2e%2e/feed/generations", "/v1//feed/generations", "//v1/feed/generations",
        "/v1/feed%2fgenerations", "/v1/me/..;/feed/generations", "/v1/me%00", "/V1/me", "/v1/me/", "/v1/./me",
        "/openapi.json/../v1/feed/generations", "/health/ready", "/metrics", "/admin", "/.env", "/.git/config",
        "/static/x/..%2f..%2f..%2fpages.py", "/static/x/%2e%2e", "/static/..%2f/app.py", "/static/x//etc/passwd",
    ):  # fmt: skip
        answer = await exchange(scene.platform, "GET", path, own)
        assert answer.status in (400, 404), f"{path}: {answer}"
        assert b"import " not in answer.body


async def test_an_absolute_target_is_not_fetched(scene: Scene) -> None:
    answer = await exchange(scene.platform, "GET", "http://127.0.0.1:1/v1/me")
    assert answer.status == 401


async def test_queued_requests_are_answered_in_order(scene: Scene) -> None:
    token = await asyncio.to_thread(scene.platform.token, scene.platform.guardian.login)
    own, answers = {"Authorization": f"Bearer {token}"}, list[Answer | None]()
    async with wire(scene.platform.base_url) as connection:
        first, second = (request(scene.platform, "GET", "/v1/me", given) for given in (own, {}))
        await connection.send((first + second) * 10)
        answers = [await connection.answer() for _ in range(20)]
    assert [answer.status if answer else None for answer in answers] == [200, 401] * 10
