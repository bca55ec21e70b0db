"""HTTP/1.1 to the services on sockets of one's own: kept alive, parsed by httptools, an answer's body as it arrives.

A client library takes longer over a call than all else the gateway does for it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

import httptools

Headers = Sequence[tuple[str, str]]
RawHeaders = list[tuple[bytes, bytes]]

_CONNECT_SECONDS = 2.0
_IDLE_SECONDS = 15.0
_UNREAD_BYTES = 256 * 1024
"""Bytes of an answer that are held for a reader who is slower than the service."""
_HEAD_BYTES = 64 * 1024
_WITHOUT_BODY = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))
_BODILESS_STATUS = frozenset((204, 304))
_REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS"))


class InwardError(Exception):
    """A call that was not answered as it should be."""


class Unreachable(InwardError):
    """Nobody listens; the request has not been seen."""


class BrokenOff(InwardError):
    """The connection ended before the answer did; the work may have been done."""


class Unreadable(InwardError):
    """The answer is no HTTP, or a request can't be written as such."""


class Connection(asyncio.Protocol):
    """One connection to a service, with one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.open = True
        self.fresh = True
        """Whether it has not been asked anything yet."""
        self.status = 0
        self.headers: RawHeaders = []
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[None] | None = None
        self._more: asyncio.Future[None] | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._head_bytes = 0
        self._asked = False
        self._framed = False
        self._complete = False
        self._reusable = False
        self._error: InwardError | None = None

    # Asking

    async def ask(self, head: bytes, body: bytes | None, *, bodiless: bool) -> None:
        """Send a request and wait for the head of its answer; `bodiless` where the answer has none whatever it says."""
        assert self._transport is not None
        self._head = asyncio.get_running_loop().create_future()
        self.headers, self._parts, self._unread, self._head_bytes = [], [], 0, 0
        self._framed = self._complete = self._reusable = False
        self._asked, self._error = True, None
        self._transport.write(head + body if body else head)
        await self._head
        self.fresh = False
        if bodiless:
            # The parser can't be told, so it would wait for the body: this connection is not used again.
            self._complete, self._reusable = True, False

    async def part(self) -> tuple[bytes, bool]:
        """What has come of the body since the last time, and whether more will; waits where nothing has."""
        while not self._parts and not self._complete:
            if self._error is not None:
                raise self._error
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        found = b"".join(self._parts)
        self._parts, self._unread = [], 0
        if self._paused and self._transport is not None and self.open:
            self._paused = False
            self._transport.resume_reading()
        return found, not self._complete

    async def read(self) -> bytes:
        """The whole body; raises an `InwardError` where not all of it comes."""
        found = []
        more = True
        while more:
            part, more = await self.part()
            found.append(part)
        return b"".join(found)

    def rest(self) -> bool:
        """Have no request any more; whether another may follow on this connection."""
        reusable = self._complete and self._reusable and self.open and not self._paused
        self._asked = False
        if not reusable:
            self.close()
        return reusable

    def close(self) -> None:
        """Hang up."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what nobody asked for ends the connection."""
        try:
            if not self._asked:
                raise Unreadable("an answer without a question")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Unreadable) as error:
            self._fail(Unreadable(type(error).__name__))
            self.close()
        if self._unread > _UNREAD_BYTES and not self._paused and self._transport is not None and self.open:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's own signature
        """An answer without a length ends here; any other breaks off."""
        self.open = False
        if self._head is not None and self._head.done() and not self._framed:
            self._end()
        self._fail(BrokenOff("the service broke off"))

    def _fail(self, error: InwardError) -> None:
        if self._complete or self._error is not None:
            return
        self._error = error
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _end(self) -> None:
        self._complete = True
        self._wake()

    # The parser

    def on_message_begin(self) -> None:
        """The first bytes of an answer; a second one is none of ours."""
        if self._complete:
            raise Unreadable("an answer without a question")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _HEAD_BYTES:
            raise Unreadable("headers too large")
        if self._head is not None and not self._head.done():
            self.headers.append((name, value))
            self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """The head is complete, unless it only says that the answer will come."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self._framed = self._framed or status in _BODILESS_STATUS
        self._reusable = self._parser.should_keep_alive()
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._parts.append(body)
        self._unread += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        """The end of an answer."""
        if self._head is not None and self._head.done():
            self._end()


class Place:
    """A service's address and the connections to it that are kept."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if secure else 80)
        self._tls = ssl.create_default_context() if secure else None
        self._authority = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._idle: deque[Connection] = deque()

    async def ask(self, method: str, target: str, headers: Headers, body: bytes | None) -> Connection:
        """Send a request; returns the connection its answer has begun to come on, to be given back.

        Raises an `InwardError`. What was sent on a kept connection that turned out to be closed is sent again where
        that does no harm.
        """
        head = self._head(method, target, headers, body)
        while True:
            connection = self._kept() or await self._connect()
            try:
                await connection.ask(head, body, bodiless=method == "HEAD")
            except BrokenOff:
                if connection.fresh or method not in _REPEATABLE:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read; any other is closed."""
        if connection.rest():
            connection.idle_since = time.monotonic()
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.monotonic() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, made = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from error
        return made

    def _head(self, method: str, target: str, headers: Headers, body: bytes | None) -> bytes:
        lines = [f"{method} {self._prefix}{target} HTTP/1.1", f"Host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None or method not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(body or b'')}")
        head = "\r\n".join(lines).encode("latin-1")
        # What came in was parsed as HTTP, so no value has an end of line in it; should one have, nothing is sent.
        if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
            raise Unreadable("a header has more than one line")
        return head + b"\r\n\r\n"
