"""The measuring end of HTTP: posts and event streams on bare asyncio protocols, so that the client is little of the measure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit


class Posted(Exception):
    """A post was answered with something else than success."""


class Poster(asyncio.Protocol):
    """One keep-alive connection that sends a request at a time and awaits its answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Complete the answer when all of it is there."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and _complete(head, body) and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._received)
            self._received = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits is told."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    async def post(self, request: bytes) -> bytes:
        """Send a whole request; returns the answer's bytes, raises `Posted` unless it is a success."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await asyncio.wait_for(self._answer, 30)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise Posted(answer[:500].decode(errors="replace"))
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def _complete(head: bytes, body: bytes) -> bool:
    lowered = head.lower()
    place = lowered.find(b"content-length:")
    if place >= 0:
        return len(body) >= int(lowered[place + 15 :].split(b"\r\n", 1)[0])
    if b"transfer-encoding: chunked" in lowered:
        return body.endswith(b"0\r\n\r\n")
    return True


async def poster(url: str) -> Poster:
    """A connection to a base URL."""
    _, protocol = await asyncio.get_running_loop().create_connection(Poster, *_address(url))
    return protocol


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def request(method: str, path: str, token: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A request as it goes on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Heard = Callable[[bytes], None]


class Stream(asyncio.Protocol):
    """One open event stream; every `data:` line is handed on as it arrives, without the prefix."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self.last_id = b""
        self._request = request
        self._heard = heard
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take lines; frames of chunked transfer coding are lines of their own and are passed over."""
        if not self.opened.done():
            self._head(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._heard(line[5:])
            elif line.startswith(b"id:"):
                self.last_id = line[3:].strip()

    def _head(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 200"):
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Posted(data[:300].decode(errors="replace")))

    def connection_lost(self, error: Exception | None) -> None:
        """Remember that it ended."""
        self.lost = True
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError())

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


async def stream(url: str, token: str, heard: Heard, cursor: str | None = None) -> Stream:
    """An open stream of an account."""
    more = {"Last-Event-ID": cursor} if cursor else {}
    asked = request("GET", "/v1/stream", token, headers={"Accept": "text/event-stream", **more})
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: Stream(asked, heard), *_address(url))
    await protocol.opened
    return protocol
