"""The client finds a lost answer again under the same key, and raises problems as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from cli.demo.client import Api, ApiProblem, session


class Server:
    """Answers with the given statuses in turn; 0 drops the connection without an answer."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.keys: list[str | None] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Idempotency-Key"))
        status = self.statuses.pop(0)
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        code = "idempotency-conflict" if status == 409 else "some-code"
        body: dict[str, Any] = {"code": code, "title": "Title"} if status >= 400 else {"made": True}
        return web.json_response(body, status=status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(server: Server) -> None:
    server.statuses = [0, 503, 502, 409, 201]
    async with session() as http:
        answer = await Api(http, server.url, "token").call("POST", "/v1/things", {})
    assert (answer.status, answer.attempts) == (201, 5)
    assert len(set(server.keys)) == 1
    assert server.keys[0]


async def test_two_writes_have_two_keys(server: Server) -> None:
    server.statuses = [201, 201]
    async with session() as http:
        api = Api(http, server.url, None)
        await api.post("/v1/things")
        await api.post("/v1/things")
    assert len(set(server.keys)) == 2


async def test_a_refusal_is_raised_at_once(server: Server) -> None:
    server.statuses = [422]
    async with session() as http:
        with pytest.raises(ApiProblem) as caught:
            await Api(http, server.url, "token").post("/v1/things")
    assert (caught.value.status, caught.value.code) == (422, "some-code")


async def test_patience_ends(server: Server) -> None:
    server.statuses = [503] * 100
    async with session() as http:
        with pytest.raises(ApiProblem) as caught:
            await Api(http, server.url, "token", patience=0.3).get("/v1/things")
    assert caught.value.status == 503
    assert server.keys[0] is None
