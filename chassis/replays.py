"""Replays: a domain publishes again, in order per key, all that is visible at this moment, for one reader who asked.

A replayed fact goes through the outbox like any other, under the lock of its key and read behind it: its sequence lies
after that of every change it contains and before that of every change it lacks. So a reader that judges by sequence, as
all do, never takes an old state for a newer one. The walk is done in small transactions that each remember how far it
has come: whoever is killed, the next process goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from chassis import audit
from chassis.audit import Entry, Refused
from chassis.database import UNREACHABLE, Connection, Database
from chassis.identity import Caller
from chassis.outbox import Outgoing, append, lock_keys
from chassis.problems import not_found
from chassis.routes import By, Db

BATCH = 200
"""Facts published again in one transaction; their keys are locked for as long."""
MOST_OWED = 5_000
"""Rows the outbox may hold, the replay's or others', for the next batch to be added: writes never get a 503 for it."""
_PAUSE = 0.05
_IDLE_SECONDS = 1.0
_KEPT_DAYS = 90
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A fact by its record key and by its place in the domain's walk, a text that only the domain reads."""

    key: str
    place: str


@dataclass(frozen=True, slots=True)
class Visible:
    """What a domain tells of its visible facts.

    `after` gives the places that follow one (None: the first), in the walk's order, at most so many. `facts` gives the
    events of those of the places that are still visible; it is called with their keys locked.
    """

    after: Callable[[Connection, str | None, int], Awaitable[list[Place]]]
    facts: Callable[[Connection, Sequence[str]], Awaitable[list[Outgoing]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay has come; `done` once all it published has been sent."""

    name: str
    facts: int
    done: bool


class Replays:
    """Walks through the replays that were begun, one batch after another; several processes may share a database."""

    def __init__(self, database: Database, visible: Visible, batch: int = BATCH, most_owed: int = MOST_OWED) -> None:
        self._database = database
        self._visible = visible
        self._batch = batch
        self._most_owed = most_owed

    async def run(self) -> None:
        """Walk for ever."""
        while True:
            pause = _IDLE_SECONDS
            try:
                if await self.step():
                    pause = 0
                elif await self._unfinished():
                    pause = _PAUSE
            except UNREACHABLE as error:
                _log.warning("replay interrupted", extra={"cause": type(error).__name__})
            await asyncio.sleep(pause)

    async def step(self) -> bool:
        """Publish the next batch of the oldest replay; False when there is none, or the outbox is to drain first."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_NEXT)
            if row is None:
                return False
            owed = await connection.fetchrow(_OWED)
            assert owed is not None
            if row["walked"]:
                if owed["first"] is not None and owed["first"] <= row["last_event"]:
                    return False
                await connection.execute(_END, row["name"])
                return True
            if owed["rows"] > self._most_owed:
                return False
            await self._walk(connection, row["name"], row["place"])
            return True

    async def _walk(self, connection: Connection, name: str, place: str | None) -> None:
        places = await self._visible.after(connection, place, self._batch)
        if not places:
            await connection.execute(_WALKED, name)
            return
        await lock_keys(connection, {one.key for one in places})
        found = await self._visible.facts(connection, [one.place for one in places])
        ids = await append(connection, [marked(fact, name) for fact in found])
        await connection.execute(_ADVANCE, name, places[-1].place, len(found), max(ids, default=0))

    async def _unfinished(self) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM replays WHERE ended_at IS NULL)"))


_NEXT = """
    SELECT name, place, walked, last_event FROM replays WHERE ended_at IS NULL
    ORDER BY begun_at, name LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_OWED = "SELECT min(id) AS first, coalesce(max(id) - min(id) + 1, 0) AS rows FROM outbox"
_WALKED = "UPDATE replays SET walked = true WHERE name = $1"
_END = "UPDATE replays SET ended_at = now() WHERE name = $1"
_ADVANCE = """
    UPDATE replays SET place = $2, facts = facts + $3, last_event = greatest(last_event, $4) WHERE name = $1
"""


def marked(fact: Outgoing, name: str) -> Outgoing:
    """A fact as it is published again: the same event, at the time it was first told, for who asked."""
    return replace(fact, envelope=fact.envelope._replace(replay=True, replay_for=name))


async def begin(connection: Connection, name: str) -> Progress:
    """Begin a replay, or find it begun; forgets those that ended long ago."""
    await connection.execute("DELETE FROM replays WHERE ended_at < now() - make_interval(days => $1)", _KEPT_DAYS)
    await connection.execute("INSERT INTO replays (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
    found = await progress(connection, name)
    assert found is not None
    return found


async def progress(connection: Connection, name: str) -> Progress | None:
    """How far a replay has come; None for one nobody began."""
    row = await connection.fetchrow("SELECT name, facts, ended_at FROM replays WHERE name = $1", name)
    return Progress(row["name"], row["facts"], row["ended_at"] is not None) if row else None


async def abandon(connection: Connection, name: str) -> None:
    """End a replay before it is complete; what it published already stays published."""
    await connection.execute("DELETE FROM replays WHERE name = $1", name)


Name = Annotated[str, Path(pattern=r"^[a-z]{1,20}-[0-9]{1,9}$")]
"""Who a replay is for, `feed-2` say."""


def routes(service: str) -> APIRouter:
    """The operators' endpoints of a service that replays, `/v1/replays/<service>/<name>`; no part of the public API.

    PUT begins a replay (or finds it begun), GET tells how far it is, DELETE ends it early.
    """
    router = APIRouter(prefix=f"/v1/replays/{service}", include_in_schema=False)

    @router.put("/{name}")
    async def put(name: Name, by: By, database: Db) -> dict[str, Any]:
        require_operator(by, "replay.begin", name)
        async with database.transaction() as connection:
            await audit.record(connection, Entry(by.subject, "replay.begin", name))
            return _answer(await begin(connection, name))

    @router.get("/{name}")
    async def get(name: Name, by: By, database: Db) -> dict[str, Any]:
        require_operator(by, "replay.read", name)
        async with database.connection() as connection:
            found = await progress(connection, name)
        if found is None:
            raise not_found()
        return _answer(found)

    @router.delete("/{name}", status_code=204)
    async def delete(name: Name, by: By, database: Db) -> Response:
        require_operator(by, "replay.abandon", name)
        async with database.transaction() as connection:
            await audit.record(connection, Entry(by.subject, "replay.abandon", name))
            await abandon(connection, name)
        return Response(status_code=204)

    return router


def require_operator(by: Caller, action: str, what: str) -> None:
    """Refuse whoever is not an operator of the platform."""
    if by.operator is None:
        raise Refused(by, action, what)


def _answer(found: Progress) -> dict[str, Any]:
    return {"name": found.name, "facts": found.facts, "done": found.done}
