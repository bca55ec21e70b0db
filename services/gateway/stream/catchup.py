"""Catching up past the ring: what a reader missed, page by page out of feed's history, until the ring takes over."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.cursor import BadCursor
from services.gateway.stream import frames
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.reader import Reader, State

PAGE = 200
_ATTEMPTS = 4
_log = logging.getLogger(__name__)


class HistoryRefused(Exception):
    """Feed will not serve this cursor: too old, or not this reader's any more."""


class HistoryUnavailable(Exception):
    """Feed can't be asked right now, or has not stored yet what follows the cursor."""


@dataclass(frozen=True, slots=True)
class Page:
    """Items after a cursor, oldest first, as JSON documents; `cursor` stands after the last of them."""

    items: list[dict[str, Any]]
    cursor: str
    more: bool


FetchPage = Callable[[UUID, str, int], Awaitable[Page]]
"""Asks feed, on behalf of a person, for what follows a cursor: (person, cursor, limit)."""


class CatchUp:
    """A bounded number of workers that write pages to readers; each reader has one page in hand at the most."""

    def __init__(self, fanout: FanOut, fetch: FetchPage, most_pages: int) -> None:
        self._fanout = fanout
        self._fetch = fetch
        self._most_pages = most_pages
        # Holds a reader at most once, so open streams bound it.
        self._waiting: asyncio.Queue[Reader] = asyncio.Queue()
        fanout.on_lost = self._waiting.put_nowait

    def __len__(self) -> int:
        return self._waiting.qsize()

    async def work(self) -> None:
        """Serve waiting readers for ever; run one for each page that may be fetched at the same time."""
        while True:
            await self._serve(await self._waiting.get())

    async def _serve(self, reader: Reader) -> None:
        if reader.state is not State.CATCHING_UP:
            return
        if reader.pages >= self._most_pages:
            self._fanout.reset(reader, "too-old")
            return
        reader.pages += 1
        try:
            page = await self._page(reader)
            if reader.state is State.CATCHING_UP:
                self._write(reader, page)
        except (HistoryRefused, BadCursor):
            self._fanout.reset(reader, "too-old")
        except HistoryUnavailable as error:
            _log.warning("history not available", extra={"cause": str(error)})
            self._fanout.end(reader)

    async def _page(self, reader: Reader) -> Page:
        cursor = f"{self._fanout.place(reader.position)}.{reader.digest}"
        for attempt in range(_ATTEMPTS - 1):
            try:
                page = await self._fetch(reader.person, cursor, PAGE)
            except HistoryUnavailable:
                await asyncio.sleep(0.1 * 2**attempt)
                continue
            if self._leads_on(page):
                return page
            # Feed's database has not stored yet what the ring has already dropped: a moment later it will have.
            await asyncio.sleep(0.1 * 2**attempt)
        page = await self._fetch(reader.person, cursor, PAGE)
        if not self._leads_on(page):
            # The cursor is good, and what follows it will be there: a database that took a lost one's place is read up.
            raise HistoryUnavailable("it is behind the ring")
        return page

    def _leads_on(self, page: Page) -> bool:
        return bool(page.items) or page.more or self._reaches(page)

    def _reaches(self, page: Page) -> bool:
        return self._fanout.cursors.read(page.cursor).offset >= self._fanout.ring.floor

    def _write(self, reader: Reader, page: Page) -> None:
        after = self._fanout.cursors.read(page.cursor)
        if after.generation != self._fanout.generation or (after.offset <= reader.position and not self._reaches(page)):
            raise HistoryRefused
        # Rights are those of this moment, not those feed knew.
        seen = [item for item in page.items if f"{item['audience']}:{item['scope']}" in reader.scopes]
        before, place = self._fanout.place(reader.position), self._fanout.place(after.offset)
        shared = [_frame(item, before) for item in seen]
        if not self._fanout.held:
            self._fanout.deliver(reader, [*shared, frames.beat(place)], len(shared))
            self._fanout.rejoin(reader, after.offset)
        else:
            self._fanout.rejoin(reader, reader.position)


def _frame(item: dict[str, Any], place: str) -> bytes:
    # An item in the middle of a page repeats the place before the page: what is cut off there is sent again.
    name = "removed" if item.pop("removed", False) else "item"
    own = item.pop("cursor", None)
    place = own.partition(".")[0] if isinstance(own, str) else place
    return frames.event(name, json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode(), place)
