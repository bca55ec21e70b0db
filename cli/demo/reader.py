"""A family's phone: reads the first page, keeps one stream open from its cursor, and notes all it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from cli.demo.checker import Kind, Seen
from cli.demo.client import RETRIED, Api, ApiProblem
from cli.demo.sse import Event, connect

PAGE = 200
_AGAIN_SECONDS = 0.25
_SETTLE_SECONDS = 0.2
_WORKER_ATTEMPTS = 60
RING_SECONDS = 120.0
"""How long a reader may be away and still have every state out of the gateways' rings: 50,000 items at the demo's pace,
and at that of tests, are minutes."""


@dataclass(frozen=True, slots=True)
class News:
    """Something a reader's stream said: the event's name, what the family reads, and what it is for the checker."""

    reader: Reader
    name: str
    words: str
    seen: Seen | None
    at: float


class Reader:
    """One person's stream; it comes back by its cursor whenever the connection breaks."""

    def __init__(self, name: str, api: Api, on_news: Callable[[News], None]) -> None:
        self.name = name
        self.worker = ""
        """The gateway worker that serves the stream now; empty while there is none."""
        self.cursor: str | None = None
        self.refused: str | None = None
        """Why the stream ended for good."""
        self.connections = 0
        self._api = api
        self._on_news = on_news
        self._grades: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._avoided = ""
        self._heard_at = 0.0

    def open(self, avoiding: str = "") -> None:
        """Open the stream, at another worker than the one avoided where one is named."""
        self._avoided = avoiding
        self._task = asyncio.create_task(self._keep(), name=f"stream of {self.name}")

    async def hang_up(self) -> None:
        """Drop the connection; the cursor stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.worker = ""

    async def ended(self, seconds: float) -> None:
        """Wait until the stream has ended for good; raises TimeoutError when it does not."""
        if self._task is not None:
            await asyncio.wait_for(asyncio.shield(self._task), seconds)

    async def _keep(self) -> None:
        while self.refused is None:
            try:
                if self.cursor is None:
                    await self._read_page()
                await self._listen()
            except ApiProblem as problem:
                if problem.status not in RETRIED and problem.status != 429:
                    self.refused = problem.code
            except (aiohttp.ClientError, TimeoutError):
                pass  # Heard below: the connection is gone.
            self.worker = ""
            if self.refused is None:
                await asyncio.sleep(_SETTLE_SECONDS if self.cursor is None else _AGAIN_SECONDS)

    async def _read_page(self) -> None:
        page = await self._api.get("/v1/feed", limit=str(PAGE))
        self._grades.clear()
        self._tell("page", "", Seen(self.name, time.time(), Kind.FRESH))
        for item in reversed(page["items"]):
            self._tell("page", words(item), self._seen(item, Kind.PAGE, ""))
        self.cursor, self._heard_at = page["cursor"], time.time()

    async def _listen(self) -> None:
        for _ in range(_WORKER_ATTEMPTS if self._avoided else 1):
            async with connect(self._api, self.cursor) as connection:
                if connection.worker == self._avoided:
                    continue
                self._avoided, self.worker = "", connection.worker
                self.connections += 1
                away = time.time() - self._heard_at > RING_SECONDS
                self._tell("open", "", Seen(self.name, time.time(), Kind.AWAY) if away else None)
                async for event in connection.events():
                    self._take(event)
                    if self.cursor is None:
                        return
            return
        # All of them led to the worker avoided: there is no other.
        self._avoided = ""

    def _take(self, event: Event) -> None:
        self._heard_at = time.time()
        self.cursor = event.id or self.cursor
        if event.beat:
            return
        data = json.loads(event.data)
        if event.name == "item":
            self._tell(event.name, words(data), self._seen(data, Kind.LIVE, event.id))
        elif event.name == "removed":
            scope = f"{data['audience']}:{data['scope']}"
            key = self._grades.get(data["id"], "")
            self._tell(event.name, "", Seen(self.name, time.time(), Kind.LIVE, key, scope, None, event.id))
        else:
            self._tell(event.name, data.get("scope") or data.get("reason") or "", None)
            if event.name in ("reset", "scope-added"):
                # What was missed stands on the first page; the stream goes on from that page's cursor.
                self.cursor = None

    def _seen(self, item: dict[str, Any], kind: Kind, cursor: str) -> Seen:
        key = grade_key(title_of(item), item["scope"])
        self._grades[item["id"]] = key
        scope = f"{item['audience']}:{item['scope']}"
        return Seen(self.name, time.time(), kind, key, scope, state_of(item), cursor)

    def _tell(self, name: str, text: str, seen: Seen | None) -> None:
        self._on_news(News(self, name, text, seen, time.time()))


def grade_key(title: str, scope: str) -> str:
    """What tells a grade from all others: its assessment's title and whose it is."""
    return f"{title} | {scope}"


def title_of(item: dict[str, Any]) -> str:
    """The title of an item's assessment: the first part of its summary."""
    return str(item["summary"]["fr"].partition("\n")[0].partition(" · ")[0])


def state_of(item: dict[str, Any]) -> str:
    """What an item shows: `14,5/20`, after the subject."""
    return str(item["title"]["fr"].rpartition(": ")[2])


def words(item: dict[str, Any]) -> str:
    """An item as a family reads it, in one line."""
    return f"{item['title']['fr']} — {item['summary']['fr']}".replace("\n", " ")
