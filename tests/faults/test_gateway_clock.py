"""A gateway whose clock is ten minutes off signs nobody out: it is right, or says that it can't answer, and others can."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection

import psutil

from cli import demo_school as school
from cli.demo.reader import News, Reader
from cli.demo.stage import Stage
from tests.faults.clocks import needs_faketime, off
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import joined, pids, until_answering
from tests.platform import Platform, Reply, reply_of

pytestmark = needs_faketime
BRIEF_SECONDS = 300
"""How long a token lasts that would be over by a clock that is ten minutes ahead."""
TIMES = 2
"""How often each thing is asked: what a gateway has looked up once it knows for a while."""
CONNECTIONS = 100
TAKEN_SECONDS = 5.0
HEARD_SECONDS = 10.0


async def test_a_wrong_clock_of_a_gateway_signs_nobody_out(
    platform: Platform, stage: Stage, lengths: Lengths, gateway: str
) -> None:
    async with (
        load(platform, stage) as posting,
        joined(platform, "gateway-1", "gateway-3", **off(gateway)) as further,
    ):
        await until_answering(further)
        wrong = psutil.Process(further.process.pid)
        brief = await asyncio.to_thread(_brief_token, platform)
        await asyncio.to_thread(_require_sense, platform, wrong, brief)
        session = await asyncio.to_thread(_signed_in_at, platform, wrong)
        await asyncio.to_thread(_require_sense, platform, wrong, session)
        for part in ("gateway-1", "gateway-2"):
            other = psutil.Process((await pids(platform))[part])
            assert (await asyncio.to_thread(_ask, platform, other, "GET", "/v1/me", session)).status == 200
        await _require_stream(stage, stage.reader(school.PARENT), str(wrong.pid))
        await posting.more(lengths.posts)
    await judge(platform, stage)


def _require_sense(platform: Platform, wrong: psutil.Process, who: Mapping[str, str]) -> None:
    """What it knows itself it says; where services do not take its word it lets go of who may do better elsewhere."""
    for _ in range(TIMES):
        assert _ask(platform, wrong, "GET", "/v1/tokens", who).status == 200
        refused = _ask(platform, wrong, "GET", "/v1/me", who)
        assert (refused.status, refused.headers.get("connection")) == (503, "close")
        assert "retry-after" in refused.headers


async def _require_stream(stage: Stage, reader: Reader, wrong: str) -> None:
    """A stream through it says what is posted."""
    while reader.worker != wrong:
        avoided = reader.worker
        await reader.hang_up()
        reader.open(avoiding=avoided)
        await stage.expect(lambda: bool(reader.worker), "the stream is open again")
    known = len(stage.notes.news)

    def told() -> list[News]:
        return [one for one in stage.notes.news[known:] if one.reader is reader and one.name == "item"]

    assert await stage.notes.until(lambda: bool(told()), HEARD_SECONDS)
    assert reader.worker == wrong


def _brief_token(platform: Platform) -> dict[str, str]:
    body = {"account": school.PARENT.login, "name": "brief", "expires_in": BRIEF_SECONDS}
    return {"Authorization": f"Bearer {platform.ok('POST', '/v1/tokens', body, by='operator')['token']}"}


def _signed_in_at(platform: Platform, worker: psutil.Process) -> dict[str, str]:
    body = {"login": school.PARENT.login, "password": school.PASSWORD}
    reply = _ask(platform, worker, "POST", "/v1/sessions", {"Origin": platform.base_url}, body)
    assert reply.status == 201
    return {"Cookie": reply.cookies}


def _ask(
    platform: Platform, worker: psutil.Process, method: str, path: str, headers: Mapping[str, str], body: object = None
) -> Reply:
    """The answer of one of the workers that share the gateway's port."""
    for _ in range(CONNECTIONS):
        with closing(HTTPConnection(platform.base_url.rpartition("/")[2], timeout=30)) as connection:
            connection.connect()
            if _server(connection.sock) == worker.pid:
                sent = None if body is None else json.dumps(body)
                connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
                answer = connection.getresponse()
                return reply_of(answer.status, answer.read(), answer.headers)
    raise AssertionError("every connection leads to another")


def _server(client: socket.socket) -> int | None:
    """The process that a connection on the loopback leads to."""
    here, there = client.getsockname(), client.getpeername()
    deadline = time.monotonic() + TAKEN_SECONDS
    while time.monotonic() < deadline:
        # It is open before a worker has taken it.
        for one in psutil.net_connections("tcp4"):
            if one.pid and one.laddr == there and one.raddr == here:
                return int(one.pid)
        time.sleep(0.01)
    return None
