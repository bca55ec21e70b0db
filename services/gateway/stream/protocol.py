"""uvicorn's HTTP protocol with one path answered here: the stream owns its socket, all else goes on to the app."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import Any, cast

from starlette.types import Scope

from chassis.database import UNREACHABLE
from chassis.problems import Problem, busy
from chassis.wire import BoundedProtocol
from contracts.envelope import new_id
from services.gateway.limits import Addresses
from services.gateway.stream.door import Ask, Door
from services.gateway.stream.reader import Reader, Sink

PATH = b"/v1/stream"
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024
_log = logging.getLogger(__name__)


class StreamProtocol(BoundedProtocol):
    """One connection. It serves requests as uvicorn does until one asks for the stream, and is that stream from then on."""

    def __init__(self, *args: Any, door: Door, addresses: Addresses, **options: Any) -> None:
        super().__init__(*args, bounds=door.limits.bounds, **options)
        self._door = door
        self._addresses = addresses
        self._reader: Reader | None = None
        self._opening: asyncio.Task[None] | None = None

    def take(self) -> None:
        """Take a request for the stream; hand every other one to the app."""
        if not self._asks_for_stream():
            super().take()
            return
        # A reader has nothing to say once it has asked.
        self.deaf = True
        ask = Ask(dict(self.headers), self.url.partition(b"?")[2], new_id())
        self._opening = self.loop.create_task(self._open(ask, dict(self.scope)))
        self.tasks.add(self._opening)
        self._opening.add_done_callback(self.tasks.discard)

    def _asks_for_stream(self) -> bool:
        # HTTP/1.0 knows no chunks, and behind an unfinished answer there is no place for a stream: the app refuses both.
        return (
            self.url.partition(b"?")[0] == PATH
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and (self.cycle is None or self.cycle.response_complete)
        )

    async def _open(self, ask: Ask, scope: Scope) -> None:
        try:
            ask = replace(ask, address=await self._addresses.of(scope))
            self.transport.set_write_buffer_limits(high=_HIGH_WATER, low=_LOW_WATER)
            reader = await self._door.open(ask, cast("Sink", self.transport))
        except Problem as problem:
            self.refuse(problem, ask.request)
            return
        except UNREACHABLE:
            self.refuse(busy("The database is not available."), ask.request)
            return
        except Exception as error:
            _log.error("unexpected error", exc_info=error)
            self.refuse(Problem(500, "internal", "Something went wrong on our side"), ask.request)
            return
        if self.transport.is_closing():
            self._door.close(reader)
            return
        self._reader = reader
        # What parsing needed is not kept for the hours a stream lives.
        self.parser = self.scope = self.headers = self.flow = self._opening = None  # type: ignore[assignment]

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        if self._reader is not None:
            self._door.pause(self._reader)
        elif self.flow is not None:
            super().pause_writing()

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        if self._reader is not None:
            self._door.resume(self._reader)
        elif self.flow is not None:
            super().resume_writing()

    def shutdown(self) -> None:
        """The process stops: streams end in order, so that clients resume elsewhere."""
        if self._reader is not None:
            self._door.end(self._reader)
        elif self._opening is not None:
            self._opening.cancel()
            self.transport.close()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._door.close(reader)
        elif self._opening is not None:
            self._opening.cancel()
        super().connection_lost(exc)


def protocol(door: Door, addresses: Addresses) -> partial[StreamProtocol]:
    """What uvicorn takes as its `http` option."""
    return partial(StreamProtocol, door=door, addresses=addresses)
