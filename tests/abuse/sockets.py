"""Requests as bytes on a socket, for what no client would send, and the answers taken apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.platform import Login, Platform

SECONDS = 20.0
COOKIE = "__Host-preau_session"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer off the wire; header names are small; headers of one name stand one a line."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Wire:
    """A connection to the front door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write, unless the other side is gone."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self) -> Answer | None:
        """The next answer; None where the connection ends instead."""
        try:
            line = await self.reader.readline()
            status = int(line.split()[1])
            headers: dict[str, str] = {}
            while (line := await self.reader.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                name = name.lower()
                known = f"{headers[name]}\n" if name in headers else ""
                headers[name] = known + value.strip()
            return Answer(status, headers, await self._body(headers))
        except (IndexError, ConnectionError, asyncio.IncompleteReadError):
            return None

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def ended(self) -> bool:
        """Whether the other side ends the connection without a further answer."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def wire(base_url: str, seconds: float = SECONDS) -> AsyncIterator[Wire]:
    """A connection to the base URL's host; what is done with it has a deadline."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(seconds):
            yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def request(
    platform: Platform, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A sound request to the front door."""
    given = {"Host": platform.base_url.removeprefix("http://"), **(headers or {})}
    if body or method not in ("GET", "HEAD", "OPTIONS"):
        given.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def exchange(
    platform: Platform, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request and its answer, on a connection of its own, followed nowhere."""
    async with wire(platform.base_url) as connection:
        await connection.send(request(platform, method, path, headers, body))
        answer = await connection.answer()
    assert answer is not None
    return answer


async def get(platform: Platform, path: str, cookie: str = "") -> Answer:
    """A page or a resource."""
    return await exchange(platform, "GET", path, {"Cookie": cookie} if cookie else {})


async def sign_in(platform: Platform, who: Login, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to who signs in."""
    body = json.dumps({"login": who.login, "password": who.password}).encode()
    return await exchange(
        platform, "POST", "/v1/sessions", {"Content-Type": "application/json", **(headers or {})}, body
    )


async def session_of(platform: Platform, who: Login) -> str:
    """The cookie of a new session, `name=value`."""
    answer = await sign_in(platform, who)
    assert answer.status == 201, answer.body
    return cookie_in(answer.headers)


def cookie_in(headers: Mapping[str, str]) -> str:
    """The session's cookie among those an answer sets."""
    lines = headers.get("set-cookie", "").splitlines()
    return next((line for line in lines if line.startswith(COOKIE + "=")), "").partition(";")[0]
