"""A page of the history and the stream that follows it, against a model: a phone that has settled shows what stands."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, TypeVarTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from chassis.database import Database
from chassis.identity import Caller
from chassis.problems import Problem
from contracts.envelope import Audience
from contracts.feed import Category, ItemPut, ItemRemoved, Text, group_scope, pupil_scope
from roster.replica import ROSTER
from services.feed import store, usecases
from services.feed.api import Feed, read_feed
from services.feed.app import MIGRATIONS
from services.feed.rebuild import Rebuild
from services.gateway.stream.catchup import CatchUp, HistoryRefused, HistoryUnavailable, Page
from services.gateway.stream.door import resume
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.intake import Intake
from services.gateway.stream.reader import Reader
from tests.conftest import open_database
from tests.gateway.fakes import CURSORS, Socket, Stage, chunks
from tests.rosters import UAI, fill, received, small_school, uid

MOTHER = uid("mother")
START = datetime(2026, 11, 23, 8, tzinfo=UTC)
REMEMBERED = 3
"""Items that the ring holds: whoever was away a little must catch up with the history."""
CAUGHT_UP_AT_ONCE = 2
JOINED_BYTES = 600
"""Hardly more than an item: a few that are gathered take several writes."""
FROM_THE_START = 200
MOST_ROUNDS = 60
_ID = re.compile(rb"(?:^|\n)id: (.*)\n\n$")
_EVENT = re.compile(rb"event: ([a-z-]+)\ndata: (.*)\nid: ")
_Result = TypeVar("_Result")
_Given = TypeVarTuple("_Given")


class Place(NamedTuple):
    """Where items are: who reads them there, and whether the mother does."""

    audience: Audience
    scope: str
    hers: bool


PLACES = (
    Place(Audience.GUARDIANS, pupil_scope(uid("zoé")), True),
    Place(Audience.GUARDIANS, group_scope(uid("3A")), True),
    Place(Audience.GUARDIANS, pupil_scope(uid("ali")), False),
    Place(Audience.PUPILS, pupil_scope(uid("zoé")), False),
)
Changes = list[tuple[int, bool]]
"""Items by number, and whether each stands from now on."""
NUMBERS = (0, 1, 4, 5, 8, 2, 3)
"""Five items that the mother sees, and two that she does not."""
changes = st.lists(st.tuples(st.sampled_from(NUMBERS), st.sampled_from([True, True, False])), min_size=1, max_size=6)
repeats = st.sampled_from([0, 0, 1, 2, 4])
some = st.sampled_from([0, 1, 2, 100, 100])
"""How many of the next records are taken in."""


class Told(NamedTuple):
    """A record of the feed's topic; what is told again keeps its sequence, the offset at which it was told first."""

    number: int
    stands: bool
    sequence: int

    @property
    def place(self) -> Place:
        return PLACES[self.number % len(PLACES)]

    @property
    def event(self) -> ItemPut | ItemRemoved:
        values: dict[str, Any] = {
            "id": uid(f"item {self.number}"),
            "scope": self.place.scope,
            "audience": self.place.audience,
            "uai": UAI,
            "category": Category.GRADES,
            "updated_at": START + timedelta(minutes=self.sequence),
        }
        if not self.stands:
            return ItemRemoved(**values)
        words = Text(fr=f"Note {self.sequence}", en=f"Grade {self.sequence}")
        published = START - timedelta(minutes=self.number)
        return ItemPut(**values, school_year=2027, title=words, summary=words, published_at=published)

    def at(self, offset: int) -> Any:
        """The record as both of its readers get it, and what it says."""
        came = received(f"grades:{self.number}", self.event, source="/feed", sequence=self.sequence)
        record = SimpleNamespace(
            offset=offset, key=came.envelope.key.encode(), value=came.value, headers=came.record.headers
        )
        return came._replace(record=record)


class Gone(Enum):
    """When the phone's connection breaks."""

    NOT = "not"
    BEFORE = "before the history is asked"
    MEANWHILE = "before its answer is written"


@dataclass
class Meanwhile:
    """What happens while a page of the history is asked for."""

    kept: int = 0
    """Records that the history takes in each time it is asked."""
    failures: int = 0
    """Times that it can't be asked."""
    told: Changes = field(default_factory=list)
    gone: Gone = Gone.NOT


meanwhiles = st.builds(
    Meanwhile,
    kept=st.integers(0, 2),
    failures=st.sampled_from([0, 0, 0, 2, 4]),
    told=st.just([]) | changes,
    gone=st.sampled_from([Gone.NOT, Gone.NOT, Gone.MEANWHILE, *Gone]),
)


class Phone:
    """What an app does: it shows a page, then does what the stream tells, in the order told and without a second look.

    After a `reset` it opens the page again and follows from there.
    """

    def __init__(self, log: list[Told], scopes: frozenset[str]) -> None:
        self.shown: dict[UUID, str] = {}
        self.lost = True
        """Whether only a page tells what it should show."""
        self.online = True
        self.reader: Reader | None = None
        self._log = log
        self._scopes = scopes
        self._cursor = ""
        self._socket = Socket()

    def show(self, page: dict[str, Any]) -> None:
        """Show a page, and nothing else any more."""
        self.shown = {UUID(item["id"]): item["title"]["fr"] for item in page["items"]}
        assert len(self.shown) == len(page["items"])
        self._cursor, self.lost = page["cursor"], False

    def follow(self, fanout: FanOut) -> None:
        """Open a stream as the door does."""
        socket = self._socket = Socket()
        reader = self.reader = Reader(socket, UUID(int=1), UUID(int=2), MOTHER)
        reader.see(self._scopes, CURSORS.reader(str(MOTHER), self._scopes))
        socket.on_full = lambda: fanout.pause(reader)
        position, refusal = resume(CURSORS, fanout.generation, self._cursor, reader.digest)
        fanout.join(reader, position)
        if refusal:
            fanout.reset(reader, refusal)

    def leave(self, fanout: FanOut) -> None:
        """Let go of the stream; nothing may be written to it from now on."""
        if self.reader is not None:
            fanout.leave(self.reader)
        self.reader, self._socket.closed = None, True

    def clog(self, room: int) -> None:
        """The connection takes so many bytes before it is full."""
        self._socket.room = room

    def read(self, fanout: FanOut, cut: int = 0) -> bool:
        """Read all that has come but the last chunks, which are lost; whether anything came."""
        came = chunks(self._socket.received)
        self._socket.received, self._socket.room = b"", 1 << 30
        for chunk in came[: max(0, len(came) - cut)]:
            if not self.lost:
                self._take(chunk)
        if self._socket.closed:
            self.reader = None
        elif self.reader is not None and self.reader.paused:
            fanout.resume(self.reader)
        return bool(came)

    def _take(self, chunk: bytes) -> None:
        if not (id := _ID.search(chunk)):
            return
        if event := _EVENT.match(chunk):
            self._hear(event[1].decode(), json.loads(event[2]), CURSORS.read(id[1].decode()).offset)
        else:
            assert CURSORS.read(id[1].decode()).offset >= self._offset
        self._cursor = id[1].decode()

    @property
    def _offset(self) -> int:
        return CURSORS.read(self._cursor).offset

    def _hear(self, name: str, data: dict[str, Any], offset: int) -> None:
        if name == "reset":
            self.lost = True
            return
        assert offset > self._offset, "told twice"
        told = self._log[offset]
        assert told.sequence == offset, "a repeat"
        assert told.place.hers
        assert (name, UUID(data["id"])) == ("item" if told.stands else "removed", told.event.id)
        if told.stands:
            self.shown[told.event.id] = data["title"]["fr"]
        else:
            self.shown.pop(told.event.id, None)


class Machine(RuleBasedStateMachine):
    """The feed's topic, its history and a gateway's ring, each of which may be behind, and a mother's phone."""

    runner: asyncio.Runner
    database: Database
    scopes: frozenset[str]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Told] = []
        self.heard = self.kept = 0
        self.meanwhile = Meanwhile()
        self.stage = Stage(REMEMBERED, JOINED_BYTES)
        nothing: Any = None
        self.intake = Intake(self.stage.fanout, nothing, nothing, nothing, nothing, self.database, nothing)
        self.stage.fanout.release()
        self.catch_up = CatchUp(self.stage.fanout, self._fetch, most_pages=100)
        self.feed = Feed(self.database, CURSORS, Rebuild(self.database, ""))
        self.phone = Phone(self.log, self.scopes)
        self.run(self._empty())
        self.go_on()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    async def _empty(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute("DELETE FROM items")
            await connection.execute("UPDATE generations SET position = -1, items = 0")

    # The topic, and who reads it

    @rule(what=changes, again=repeats, heard=some, kept=some, room=st.sampled_from([1 << 30, 1 << 30, 900, 400, 0]))
    def tell(self, what: Changes, again: int, heard: int, kept: int, room: int) -> None:
        """Items are published, corrected and withdrawn, while the phone's connection takes so many bytes."""
        self.write(what, again)
        self.phone.clog(room)
        self.move(heard, kept)

    def write(self, what: Changes, again: int = 0) -> None:
        """A projector that dies thereafter tells the last records again."""
        self.log += [Told(number, stands, offset) for offset, (number, stands) in enumerate(what, len(self.log))]
        self.log += self.log[len(self.log) - again :]

    def move(self, heard: int, kept: int) -> None:
        """The gateway and the history take the next records in."""
        self.run(self._hear(heard))
        self.stage.settle()
        self.run(self._keep(kept))

    async def _hear(self, count: int) -> None:
        for offset in range(self.heard, min(len(self.log), self.heard + count)):
            await self.intake._take_item(self.log[offset].at(offset).record)
            self.heard = offset + 1

    async def _keep(self, count: int) -> None:
        events = [told.at(offset) for offset, told in enumerate(self.log)][self.kept : self.kept + count]
        if events:
            async with self.database.transaction() as connection:
                await usecases.keep(connection, events, 1)
            self.kept += len(events)

    # The history

    async def _read(self, after: str | None, limit: int) -> dict[str, Any]:
        answer = await read_feed(Caller(person=MOTHER), self.feed, after=after, limit=limit)
        found: dict[str, Any] = json.loads(bytes(answer.body))
        return found

    async def _fetch(self, person: UUID, cursor: str, limit: int) -> Page:
        if self.meanwhile.failures:
            self.meanwhile.failures -= 1
            raise HistoryUnavailable("away")
        await self._keep(self.meanwhile.kept)
        try:
            found = await self._read(cursor, CAUGHT_UP_AT_ONCE)
        except Problem as problem:
            raise HistoryRefused from problem
        self.write(self.meanwhile.told)
        await self._hear(len(self.meanwhile.told))
        if self.meanwhile.gone is Gone.MEANWHILE:
            self.phone.leave(self.stage.fanout)
        return Page(found["items"], found["cursor"], found["more"])

    # The phone

    @rule()
    def open_page(self) -> None:
        if self.phone.online:
            self.phone.leave(self.stage.fanout)
            self.phone.show(self.run(self._read(None, FROM_THE_START)))
            self.phone.follow(self.stage.fanout)

    @rule(cut=st.integers(0, 4))
    def lose_or_find_network(self, cut: int) -> None:
        if self.phone.online:
            self.lose_network(cut)
        else:
            self.find_network()

    def lose_network(self, cut: int) -> None:
        """What came last has not come."""
        self.phone.read(self.stage.fanout, cut)
        self.phone.leave(self.stage.fanout)
        self.phone.online = False

    def find_network(self) -> None:
        self.phone.online = True
        self.go_on()

    def go_on(self) -> None:
        """With a page where it is needed, or by the cursor it has."""
        if self.phone.online and self.phone.lost:
            self.open_page()
        elif self.phone.online and self.phone.reader is None:
            self.phone.follow(self.stage.fanout)
        self.stage.settle()

    @rule(what=changes, more=changes, kept=some, cut=st.integers(0, 4), meanwhile=st.none() | meanwhiles)
    def be_away(self, what: Changes, more: Changes, kept: int, cut: int, meanwhile: Meanwhile | None) -> None:
        """For long enough, mostly, that what was missed must be had of the history, at once or later."""
        self.lose_network(cut)
        self.write(what + more)
        self.move(len(self.log), kept)
        self.find_network()
        if meanwhile:
            self.serve(meanwhile)

    @rule(heard=some, kept=some, seconds=st.sampled_from([0.0, 0.05, 0.05, 31.0]), beats=st.booleans())
    def wait(self, heard: int, kept: int, seconds: float, beats: bool) -> None:
        """With or without each stream's heartbeat."""
        self.move(heard, kept)
        for _ in range(60 if beats else 0):
            self.stage.fanout.beat()
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> bool:
        """Time passes, and the phone reads; whether anything came."""
        self.stage.clock.pass_time(seconds)
        came = self.phone.read(self.stage.fanout)
        self.go_on()
        return came

    # Catching up

    @rule(meanwhile=meanwhiles)
    def serve(self, meanwhile: Meanwhile) -> None:
        """A page of the history comes to who waits for it."""
        self.stage.settle()
        self.meanwhile = replace(meanwhile)
        if meanwhile.gone is Gone.BEFORE:
            self.phone.leave(self.stage.fanout)
        self.serve_next()
        self.meanwhile = Meanwhile()
        self.go_on()

    def serve_next(self) -> bool:
        if not len(self.catch_up):
            return False
        self.run(self.catch_up._serve(self.catch_up._waiting.get_nowait()))
        return True

    # What must hold

    @rule()
    def look(self) -> None:
        """Once all have come as far as the topic, the phone shows what stands."""
        self.move(len(self.log), len(self.log))
        self.find_network()
        self._settle()
        assert self.phone.shown == self._standing()

    def _settle(self) -> None:
        for _ in range(MOST_ROUNDS):
            came, served = self.pass_time(0.05), self.serve_next()
            if not came and not served and not self.stage.fanout._dirty:
                return
        pytest.fail("the phone does not come to rest")

    def _standing(self) -> dict[UUID, str]:
        latest = {told.number: told for told in self.log if told.place.hers}
        events = [told.event for told in latest.values()]
        return {event.id: event.title.fr for event in events if isinstance(event, ItemPut)}

    def teardown(self) -> None:
        self.look()


class HastyLoop(asyncio.SelectorEventLoop):
    """A loop in which what waits a moment waits no time: catching up does, for a history that goes on when it is asked."""

    def call_later(
        self, delay: float, callback: Callable[[*_Given], object], *args: *_Given, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_later(delay if delay >= 1 else 0, callback, *args, context=context)


async def _opened(url: str) -> Database:
    database = await open_database(url, ROSTER, MIGRATIONS, pool_size=2)
    async with database.transaction() as connection:
        await fill(connection, *small_school())
        await store.remember_lineage(connection)
    return database


async def _scopes(database: Database) -> frozenset[str]:
    async with database.connection() as connection:
        return (await usecases.reading(connection, Caller(person=MOTHER), None)).held


def test_a_phone_that_opens_a_page_and_follows_shows_what_stands(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        database = runner.run(_opened(database_url))
        scopes = runner.run(_scopes(database))
        assert {f"{place.audience}:{place.scope}" in scopes for place in PLACES if place.hers} == {True}
        for name, value in (("runner", runner), ("database", database), ("scopes", scopes)):
            monkeypatch.setattr(Machine, name, value, raising=False)
        quick = settings(
            max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(Machine, settings=quick)
        runner.run(database.close())
