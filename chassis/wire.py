"""One HTTP connection, held to bounds before anything of it reaches the app: bytes, times, and framing told one way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from chassis.problems import Problem
from contracts.envelope import new_id

HEAD_BYTES = 32 * 1024
"""Bytes of a request's line and headers; of its trailers and of a chunk's extensions too."""
MOST_HEADERS = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections of one process may do.

    `connections` is how many there are; `header_seconds` how long one may take to ask, and to end what was answered;
    `reader_seconds` how long it may leave a full buffer unread.
    """

    connections: int = 25_000
    header_seconds: float = 10.0
    reader_seconds: float = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol for whom nobody knows: what it would wait or remember for without end is cut."""

    def __init__(self, *args: Any, bounds: Bounds, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._nothing_came_of = 0
        self._head = 0
        self._message_open = False
        self._head_open = False
        self.deaf = False
        """Whether what still comes means nothing: the connection was refused, or is a stream."""

    # Time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection has a bounded time to ask for something, and there is a bounded number of them."""
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > self._bounds.connections:
            self.transport.abort()
            return
        self._expect()

    def _expect(self, seconds: float | None = None) -> None:
        self._stop_expecting()
        self._deadline = self.loop.call_later(seconds or self._bounds.header_seconds, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_response_complete(self) -> None:
        """An answer is out: the rest of its request, or the client's leave, must not take for ever."""
        if isinstance(self.cycle.transport, _Answering):
            self.cycle.transport.flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect(self._bounds.reader_seconds)
        elif self._message_open and self.cycle.response_complete:
            self._expect()

    def pause_writing(self) -> None:
        """The transport's buffer is full; a client that never reads is not waited for."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._bounds.reader_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_expecting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    # Bytes

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser itself would keep a header without an end however long it gets."""
        if self.deaf:
            return
        self._nothing_came_of += len(data)
        super().data_received(data)
        if self.deaf or self.transport.is_closing():
            return
        if self._nothing_came_of > HEAD_BYTES:
            self.refuse(_too_large())
        elif self._at_rest() and self._deadline is None and self.timeout_keep_alive_task is None:
            # What came was no request, and ended the wait for one: that wait has a bound of its own.
            self._expect()

    def _at_rest(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self._message_open = self._head_open = True
        self._head = 0
        self._expect()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers are dropped: headers that come after a request was let in would be looked at by nobody."""
        if self._head_open:
            self._head += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: let the request in, or refuse it."""
        self._stop_expecting()
        self._head_open = False
        self._nothing_came_of = 0
        if self.deaf:
            return
        refusal = self._too_much() or misframed(self.headers, self.parser.get_http_version())
        if refusal:
            self.refuse(refusal)
        else:
            self.take()

    def _too_much(self) -> Problem | None:
        return _too_large() if self._head > HEAD_BYTES or len(self.headers) > MOST_HEADERS else None

    def take(self) -> None:
        """Hand a request to the app."""
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.transport is self.transport:
            self.cycle.transport = cast("asyncio.Transport", _Answering(self.transport, self.loop))

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._nothing_came_of = 0
        if not self.deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._message_open = False
        self._nothing_came_of = 0
        if self.deaf:
            return
        super().on_message_complete()
        if self._at_rest():
            self._stop_expecting()

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse(_unreadable(msg))

    def refuse(self, problem: Problem, request: str | None = None) -> None:
        """Answer with a problem document and end the connection; nothing is written into another answer."""
        self.deaf = True
        if self.transport.is_closing():
            return
        if not self._at_rest() and self.cycle.response_started:
            self.transport.abort()
            return
        if not self._at_rest():
            # To the app, which may wait for the rest of a body, the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        response = problem.response()
        fields = [*response.raw_headers, (b"x-request-id", (request or new_id()).encode()), (b"connection", b"close")]
        head = [STATUS_LINE[problem.status], *(name + b": " + value + b"\r\n" for name, value in fields)]
        self.transport.write(b"".join([*head, b"\r\n", bytes(response.body)]))
        self.transport.close()
        self._expect(self._bounds.reader_seconds)


class _Answering:
    """The transport as one answer sees it: the head goes out with what follows at once, and wakes the reader once."""

    __slots__ = ("_begun", "_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._begun:
            self._begun, self._head = True, data
            self._loop.call_soon(self.flush)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send the head by itself if nothing has followed."""
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def misframed(headers: list[tuple[bytes, bytes]], version: str) -> Problem | None:
    """Why a request is not clear about where it goes and where it ends (RFC 9112); None where it is.

    The parser refuses lengths that contradict each other; what it lets pass and another reader may take differently is
    refused here.
    """
    hosts = [value for name, value in headers if name == b"host"]
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1"):
        return _unreadable("This is no HTTP/1.1")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return _unreadable("A request names one host")
    if codings and (codings != [b"chunked"] or version != "1.1"):
        return _unreadable("A body comes as it is or in chunks")
    return None


def _unreadable(detail: str) -> Problem:
    return Problem(400, "bad-request", "This request can't be read", detail=detail)


def _too_large() -> Problem:
    detail = f"At most {HEAD_BYTES} bytes and {MOST_HEADERS} headers."
    return Problem(431, "headers-too-large", "The request's headers are too large", detail=detail)
