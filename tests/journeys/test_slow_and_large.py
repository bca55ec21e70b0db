"""Bodies that are too large or too slow, at every endpoint that takes one: a 4xx in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Platform

LARGE = 5 * 1024 * 1024
SLOW_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer read off the socket."""

    status: int
    code: str
    seconds: float


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Sandbox:
    return made_sandbox(platform)


def endpoints(platform: Platform) -> list[tuple[str, str]]:
    paths = platform.ok("GET", "/v1/openapi.json", by="operator")["paths"]
    found = [(m.upper(), path) for path, methods in paths.items() for m, op in methods.items() if "requestBody" in op]
    return [*found, ("POST", "/v1/assessments/{id}/publication"), ("POST", "/connexion")]


async def send(sandbox: Sandbox, method: str, path: str, framing: str, parts: list[bytes], pause: float = 0) -> Raw:
    """Send a head and the parts of a body, and read what is answered, if need be before all was sent."""
    host, _, port = sandbox.platform.base_url.removeprefix("http://").partition(":")
    login = sandbox.teacher_account.login if path.startswith("/v1/assessments") else "operator"
    kind = "application/json" if path.startswith("/v1") else "application/x-www-form-urlencoded"
    head = (
        f"{method} {sandbox.path(path) if path.startswith('/v1') else path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f'Origin: {sandbox.platform.base_url}\r\nIf-Match: "1"\r\nContent-Type: {kind}\r\n{framing}\r\n'
        f"Authorization: Bearer {sandbox.platform.token(login)}\r\n\r\n"
    )
    begun = time.monotonic()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode())
    sending = asyncio.create_task(_send(writer, parts, pause))
    try:
        async with asyncio.timeout(SLOW_SECONDS):
            status = int((await reader.readline()).split()[1])
            return Raw(status, await _code(reader), time.monotonic() - begun)
    finally:
        sending.cancel()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await asyncio.gather(sending, return_exceptions=True)
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, parts: list[bytes], pause: float) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)


async def _code(reader: asyncio.StreamReader) -> str:
    length = 0
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    try:
        document: dict[str, Any] = json.loads(await reader.readexactly(length))
    except (ValueError, asyncio.IncompleteReadError):
        return ""
    return str(document.get("code", ""))


async def test_five_megabytes_are_refused_whether_their_size_is_said_or_not(sandbox: Sandbox) -> None:
    before, wrong = await asyncio.to_thread(sandbox.stored), []
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for method, path in await asyncio.to_thread(endpoints, sandbox.platform):
        said = await send(sandbox, method, path, f"Content-Length: {LARGE}", [b" " * 0x10000] * (LARGE // 0x10000))
        chunked = await send(sandbox, method, path, "Transfer-Encoding: chunked", [chunk] * (LARGE // 0x10000))
        both = [(raw.status, raw.code) for raw in (said, chunked)]
        if both != [(413, "body-too-large")] * 2:
            wrong.append(f"{method} {path}: {both}")
    assert not wrong, "\n".join(wrong)
    assert await asyncio.to_thread(sandbox.stored) == before


async def test_a_body_that_does_not_come_is_given_up(sandbox: Sandbox) -> None:
    before = await asyncio.to_thread(sandbox.stored)
    targets = await asyncio.to_thread(endpoints, sandbox.platform)
    drip = [b" "] * 200
    found = await asyncio.gather(*(send(sandbox, m, p, "Content-Length: 1000", drip, pause=0.2) for m, p in targets))
    wrong = [
        f"{target}: {raw}"
        for target, raw in zip(targets, found, strict=True)
        if (raw.status, raw.code) != (408, "body-too-slow") or raw.seconds > SLOW_SECONDS
    ]
    assert not wrong, "\n".join(wrong)
    assert await asyncio.to_thread(sandbox.stored) == before
