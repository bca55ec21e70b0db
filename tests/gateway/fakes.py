"""Stand-ins at the edge of the machine: a socket that remembers what was written, and an event loop's clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from chassis.cursor import Cursors
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.frames import event
from services.gateway.stream.pace import Pace
from services.gateway.stream.reader import Reader
from services.gateway.stream.ring import Item, Ring

CURSORS = Cursors(b"a secret of thirty-two bytes, at least")
PERSON = UUID(int=7)
_EVENT = re.compile(rb"event: ([a-z-]+)\ndata: (.*)\nid: (.*)$")


class Socket:
    """What a transport does that the stream sees: a buffer with a bound, pausing, closing."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.received = b""
        self.writes = 0
        self.closed = False
        self.aborted = False
        self.room = room
        self.on_full: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.received += data
        self.writes += 1
        self.room -= len(data)
        if self.room < 0:
            self.on_full()

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


def chunks(received: bytes) -> list[bytes]:
    """The chunks of a chunked body, which must be well formed as far as it goes."""
    found = []
    while received:
        size, _, rest = received.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        found.append(rest[:length])
        received = rest[length + 2 :]
    return found


def events(received: bytes) -> list[tuple[str, bytes, str]]:
    """The events in a body: name, data, id. Comments and the rest are left out."""
    found = []
    for chunk in chunks(received):
        assert not chunk or chunk.endswith(b"\n\n")
        match = _EVENT.match(chunk.removesuffix(b"\n\n"))
        if match:
            found.append((match[1].decode(), match[2], match[3].decode()))
    return found


class Clock:
    """As much of an event loop as the fan-out uses, with time moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[..., Any], tuple[Any, ...], asyncio.Event]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[..., Any], *arguments: Any) -> Any:
        cancelled = asyncio.Event()
        heapq.heappush(self._due, (self.now + delay, next(self._order), call, arguments, cancelled))
        return _Handle(cancelled)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, call, arguments, cancelled = heapq.heappop(self._due)
            if not cancelled.is_set():
                call(*arguments)
        self.now = until


class _Handle:
    def __init__(self, cancelled: asyncio.Event) -> None:
        self._cancelled = cancelled

    def cancel(self) -> None:
        self._cancelled.set()


class Stage:
    """A fan-out over a small ring, on a clock of the test's."""

    def __init__(self, most_items: int = 1000, joined_bytes: int = 64 * 1024) -> None:
        self.clock = Clock()
        self.ring = Ring(most_items, 1 << 30)
        pace = Pace(joined_bytes=joined_bytes)
        self.fanout = FanOut(self.ring, CURSORS, pace, self.clock)  # type: ignore[arg-type]

    def reader(self, *scopes: str, room: int = 1 << 30) -> tuple[Reader, Socket]:
        """A reader that has not joined yet."""
        socket = Socket(room)
        reader = Reader(socket, UUID(int=1), UUID(int=2), PERSON)
        reader.see(frozenset(scopes), CURSORS.reader(str(PERSON), scopes))
        socket.on_full = lambda: self.fanout.pause(reader)
        return reader, socket

    def publish(self, offset: int, scope: str) -> None:
        """Publish an item whose data is its offset."""
        self.fanout.publish(Item(offset, scope, event("item", b"%d" % offset, self.fanout.place(offset))))

    def settle(self) -> None:
        """Let gathered writes go out."""
        self.clock.pass_time(0.05)


def offsets(socket: Socket) -> list[int]:
    """The items a socket got."""
    return [int(data) for name, data, _ in events(socket.received) if name == "item"]


def last_id(socket: Socket) -> str | None:
    """The last id a client of this socket knows."""
    found = re.findall(rb"\nid: (.*)\n\n|^[0-9a-f]+\r\nid: (.*)\n\n", socket.received)
    return next((a or b).decode() for a, b in reversed(found)) if found else None
