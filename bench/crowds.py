"""Thousands of open streams in one client, each of which knows what it must get: in order, nothing missed, nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import cast

from bench.wire import Posted, request
from infra.local.ports import LOOPBACK

_ID = b'"id":"'
_ID_LENGTH = 36
_FRAME_END = b"\n\n\r\n"
_OPENING_AT_ONCE = 1000
_OPEN_SECONDS = 60.0
_PAUSE_SECONDS = 0.05


class Listener(asyncio.Protocol):
    """One open stream."""

    __slots__ = ("_crowd", "_request", "_rest", "_streaming", "cursor", "expected", "got", "opened", "transport")

    def __init__(self, crowd: Crowd, asked: bytes) -> None:
        self.expected: list[bytes] = []
        """Ids of the items it must get, in order."""
        self.got = 0
        self.cursor = b""
        """The last one it was told."""
        self.opened: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._crowd = crowd
        self._request = asked
        self._rest = b""
        self._streaming = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take whole frames; of the first data only the head matters, the rest is frames too."""
        if self.opened is not None:
            self._open(data)
        if self._rest:
            data = self._rest + data
        end = data.rfind(_FRAME_END) + len(_FRAME_END)
        if end < len(_FRAME_END):
            self._rest = data
            return
        self._rest = data[end:]
        self._crowd.heard(self, [piece[:_ID_LENGTH] for piece in data[:end].split(_ID)[1:]])
        place = data.rfind(b"\nid: ", 0, end)
        if place >= 0:
            self.cursor = data[place + 5 : data.index(b"\n", place + 5)]

    def _open(self, data: bytes) -> None:
        assert self.opened is not None
        if not self.opened.done():
            if data.startswith(b"HTTP/1.1 200"):
                self._streaming = True
                self.opened.set_result(None)
            else:
                self.opened.set_exception(Posted(data[:300].decode(errors="replace")))
        self.opened = None

    def connection_lost(self, error: Exception | None) -> None:
        """A stream that was open and that nobody closed is a loss."""
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError())
        elif self._streaming:
            self._crowd.left()

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abort()


class Crowd:
    """Open streams and what they heard; times are of `perf_counter`, in seconds."""

    def __init__(self, port: int) -> None:
        self.listeners: list[Listener] = []
        self.sent: dict[bytes, float] = {}
        """When items left, for those whose delay is measured."""
        self.delays: list[float] = []
        self.first = self.last = 0.0
        """When the first and the last item of a course arrived."""
        self.wrong = 0
        """Items that were not those a listener had to get next, and streams that ended by themselves."""
        self._port = port
        self._missing = 0
        self._all = asyncio.Event()
        self._closing = False

    async def open(self, tokens: Sequence[str]) -> list[Listener]:
        """Open a stream for each token; ends once all are open."""
        made = self.gather(tokens)
        await self.come(made, _OPENING_AT_ONCE)
        return made

    def gather(self, tokens: Sequence[str], cursors: Sequence[bytes] = ()) -> list[Listener]:
        """Listeners that have not come yet, one a token; cursors say where each goes on."""
        made = [Listener(self, _request(*one)) for one in zip_longest(tokens, cursors)]
        self.listeners += made
        return made

    async def come(self, listeners: Sequence[Listener], at_once: int) -> None:
        """Have listeners open their streams, a bounded number of them waiting at the same time."""
        room = asyncio.Semaphore(at_once)
        async with asyncio.timeout(_OPEN_SECONDS), asyncio.TaskGroup() as tasks:
            for one in listeners:
                await room.acquire()
                tasks.create_task(self._connect(one)).add_done_callback(lambda _: room.release())

    async def _connect(self, listener: Listener) -> None:
        opened = listener.opened
        assert opened is not None
        await asyncio.get_running_loop().create_connection(lambda: listener, LOOPBACK, self._port)
        await opened

    def expect(self, ids: Sequence[bytes], listeners: Iterable[Listener]) -> None:
        """These listeners must get these items next, after what they must get already."""
        self._all.clear()
        for one in listeners:
            one.expected += ids
            self._missing += len(ids)

    def begin(self) -> None:
        """A course of items begins: whatever was expected has come, or will not."""
        self.first = self.last = 0.0
        self.delays = []
        self.sent = {}
        for one in self.listeners:
            one.expected, one.got = [], 0
        self._missing = 0

    def heard(self, listener: Listener, ids: list[bytes]) -> None:
        """A listener got items."""
        if not ids:
            return
        self.last = time.perf_counter()
        self.first = self.first or self.last
        got = listener.got
        if ids != listener.expected[got : got + len(ids)]:
            self.wrong += 1
            return
        listener.got += len(ids)
        if self.sent:
            self.delays += [self.last - self.sent[id] for id in ids]
        self._missing -= len(ids)
        if self._missing == 0:
            self._all.set()

    async def all(self, seconds: float) -> int:
        """Wait until everything expected is there; returns how many frames are missing after a time."""
        if self._missing:
            try:
                await asyncio.wait_for(self._all.wait(), seconds)
            except TimeoutError:
                return self._missing
        return 0

    def left(self) -> None:
        """A stream ended."""
        if not self._closing:
            self.wrong += 1

    async def close(self) -> None:
        """Hang up."""
        self._closing = True
        for one in self.listeners:
            one.close()
        self.listeners.clear()
        await asyncio.sleep(_PAUSE_SECONDS)
        self._closing = False


def _request(token: str, cursor: bytes | None) -> bytes:
    more = {"Last-Event-ID": cursor.decode()} if cursor else {}
    return request("GET", "/v1/stream", token, headers={"Accept": "text/event-stream", **more})
