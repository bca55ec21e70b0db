"""Directory documents against a model: however they come, replica, sending and open streams see what the latest ones give."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from contracts.directory import (
    GroupChanged,
    GroupKind,
    GuardianLink,
    LinkKind,
    Membership,
    PersonChanged,
    Role,
    RoleName,
    SchoolChanged,
    Teaching,
    person_key,
    school_key,
)
from roster import replica, store
from roster.replica import ROSTER
from roster.store import ReaderScopes
from services.gateway.stream import turns
from services.gateway.stream.directory_log import DirectoryLog, change
from services.gateway.stream.reader import Reader
from services.gateway.stream.rights import Rights, RosterBehind
from services.gateway.stream.turns import SchoolWatch
from tests.conftest import open_database
from tests.gateway.fakes import Socket
from tests.rosters import UAI, key_of, link, pupil, received, school, uid

FAR, NEAR = UAI, "0921235T"
ZONES = {FAR: "Pacific/Auckland", NEAR: "Europe/Paris"}
"""The near school may be unknown: days are those of its zone all the same."""
PEOPLE = ("zoé", "ali", "mother", "nanny")
GROUPS = ("3A", "latin")
DAYS = [date(2026, 11, day) for day in (23, 24, 25)]
MOMENTS = [datetime(2026, 11, day, hour, 30, tzinfo=UTC) for day in (23, 24) for hour in (10, 11, 22, 23)]
"""Before and after midnight at either school."""
SECONDS = 3.0
"""That open streams are waited for."""
REMEMBERED = 12
"""Changes that a gateway's log reaches back."""
_Result = TypeVar("_Result")
Document = SchoolChanged | GroupChanged | PersonChanged


class Written(NamedTuple):
    """A record of the directory's topic."""

    sequence: int
    key: str
    document: Document | None


# What the documents may be

_day = st.sampled_from([None, None, None, *DAYS])
_uai = st.sampled_from([FAR, NEAR])
_who = st.sampled_from(PEOPLE).map(uid)
_whom = st.sampled_from(["zoé", "zoé", "zoé", *PEOPLE]).map(uid)
_which = st.sampled_from(GROUPS).map(uid)
_roles = st.builds(
    Role,
    name=st.sampled_from([RoleName.PUPIL, RoleName.PUPIL, RoleName.TEACHER, RoleName.GUARDIAN]),
    uai=_uai,
    starts=_day,
    ends=_day,
)
_memberships = st.builds(Membership, group=_which, uai=_uai, starts=_day, ends=_day)
_links = st.builds(GuardianLink, person=_who, kind=st.sampled_from(LinkKind), starts=_day, ends=_day)
_teachings = st.builds(Teaching, person=_who, subject=st.none(), starts=_day, ends=_day)
_open_links = st.builds(GuardianLink, person=_who, kind=st.sampled_from(LinkKind), starts=st.none(), ends=st.none())
families = st.lists(_open_links, max_size=3).map(lambda links: pupil("zoé", links))
"""What most documents are like: one who is at school, and their family, without dates."""
_seldom = st.sampled_from([False, False, False, True])
people = st.builds(
    PersonChanged,
    id=_whom,
    given_name=st.just("Zoé"),
    family_name=st.just("Test"),
    email=st.none(),
    phone=st.none(),
    birth_date=st.none(),
    roles=st.lists(_roles, max_size=2),
    memberships=st.lists(_memberships, max_size=1),
    guardians=st.lists(_links, max_size=3),
    ended=_seldom,
)
groups = st.builds(
    GroupChanged,
    id=_which,
    uai=_uai,
    school_year=st.just(2027),
    kind=st.just(GroupKind.CLASS),
    name=st.just("3A"),
    teachers=st.lists(_teachings, max_size=2),
    form_teachers=st.just([]),
    ended=_seldom,
)


# The model: slow, and from whole documents


def holds(part: Role | Membership | GuardianLink | Teaching, uai: str, now: datetime) -> bool:
    day = now.astimezone(ZoneInfo(ZONES[uai])).date()
    return (part.starts is None or day >= part.starts) and (part.ends is None or day < part.ends)


def may_see(person: UUID, documents: dict[str, Document], now: datetime) -> set[str]:
    """What the documents, and nothing else, let a person see at a moment."""
    own = documents.get(person_key(person))
    if isinstance(own, PersonChanged) and own.ended:
        return set()
    found = set()
    for one in documents.values():
        if isinstance(one, GroupChanged) and not one.ended:
            found |= {f"staff:groups/{one.id}" for t in one.teachers if t.person == person and holds(t, one.uai, now)}
        if isinstance(one, PersonChanged) and not one.ended:
            if one.id == person:
                found |= {
                    f"staff:schools/{r.uai}" for r in one.roles if r.name is RoleName.TEACHER and holds(r, r.uai, now)
                }
                found |= {f"pupils:{place}" for place, _ in places(one, now)}
            for tie in one.guardians:
                if tie.person == person:
                    found |= {
                        f"guardians:{place}"
                        for place, uai in places(one, now)
                        if holds(tie, uai, now) and opened(uai, tie.kind, documents)
                    }
    return found


def places(one: PersonChanged, now: datetime) -> Iterator[tuple[str, str]]:
    """What concerns a pupil at a moment, and by which school."""
    for role in one.roles:
        if role.name is RoleName.PUPIL and holds(role, role.uai, now):
            yield f"pupils/{one.id}", role.uai
            yield f"schools/{role.uai}", role.uai
    for member in one.memberships:
        if holds(member, member.uai, now):
            yield f"groups/{member.group}", member.uai


def opened(uai: str, kind: LinkKind, documents: dict[str, Document]) -> bool:
    known = documents.get(school_key(uai))
    return isinstance(known, SchoolChanged) and (kind is LinkKind.LEGAL_GUARDIAN or kind in known.opened_to)


class Following(Rights):
    """Rights that say how far the roster had come when a reader's scopes were read."""

    def __init__(self, log: DirectoryLog, machine: Machine) -> None:
        super().__init__(log, lambda: machine.now)
        self.read_at: dict[Reader, int] = {}

    def attach(self, reader: Reader, person: UUID, read: ReaderScopes) -> frozenset[str]:
        scopes = super().attach(reader, person, read)
        self.read_at[reader] = read.position
        return scopes


class Machine(RuleBasedStateMachine):
    """A directory, a replica in a real database, and a gateway's rights that follow it; each may be behind."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.run(open_database(self.url, ROSTER, pool_size=2))
        self.now = MOMENTS[0]
        self.written: list[Written] = []
        self.delivered = self.heard = 0
        self.run(self._empty())
        for document in (school(uai=FAR, zone=ZONES[FAR]), pupil("zoé", [link("mother")])):
            self.write(key_of(document), document)
        self.deliver(back=0, count=2, old=None)
        self.run(self._begin_gateway(back=1))

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    async def _empty(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute("TRUNCATE roster_documents, roster_mentions, roster_memberships")
            await connection.execute("UPDATE roster_state SET position = 0")

    # The directory

    def write(self, key: str, document: Document | None) -> None:
        """The next record; sequences have gaps, as an outbox's ids have."""
        self.written.append(Written(len(self.written) * 3 + 1, key, document))

    @rule(documents=st.lists(families | families | people | groups, min_size=1, max_size=4))
    def change(self, documents: list[Document]) -> None:
        for document in documents:
            self.write(key_of(document), document)

    @rule(uai=_uai, kinds=st.lists(st.sampled_from(LinkKind), unique=True))
    def open_school(self, uai: str, kinds: list[LinkKind]) -> None:
        self.write(school_key(uai), school(uai=uai, zone=ZONES[uai], opened_to=kinds))

    @rule(key=st.one_of(_who.map(person_key), _which.map("groups/{}".format), st.just(school_key(NEAR))))
    def erase(self, key: str) -> None:
        self.write(key, None)

    @rule(moment=st.sampled_from(MOMENTS))
    def look_at_the_clock(self, moment: datetime) -> None:
        self.now = moment

    def _documents(self, position: int) -> dict[str, Document]:
        """The latest states up to a place in the directory."""
        latest = {one.key: one.document for one in self.written if one.sequence <= position}
        return {key: document for key, document in latest.items() if document is not None}

    # The replica

    @rule(back=st.integers(0, 3), count=st.sampled_from([0, 1, 2, 4, 50]), old=st.none() | st.integers(0, 50))
    def deliver(self, back: int, count: int, old: int | None) -> None:
        """A batch from where the replica is or from before it, and perhaps something old behind it."""
        batch = self.written[max(0, self.delivered - back) : self.delivered + count]
        if old is not None:
            batch = [*batch, self.written[old % max(1, self.delivered)]]
        if batch:
            self.run(self._deliver(batch))
        self.delivered = min(len(self.written), self.delivered + count)

    async def _deliver(self, batch: list[Written]) -> None:
        events = [received(one.key, one.document, sequence=one.sequence) for one in batch]
        async with self.database.transaction() as connection:
            if new := await replica.fresh(connection, "", events):
                await replica.apply(connection, new)

    @property
    def position(self) -> int:
        """How far the replica must have come."""
        return self.written[self.delivered - 1].sequence

    # The gateway

    async def _begin_gateway(self, back: int) -> None:
        """A process begins: a log that reaches some way back, the schools of the roster, and no reader."""
        log = DirectoryLog(REMEMBERED)
        self.rights = Following(log, self)
        self.readers: dict[UUID, Reader] = {}
        self.looked: dict[UUID, ReaderScopes] = {}
        self.seen: dict[Reader, frozenset[str]] = {}
        watch = SchoolWatch(self.rights, self.database, self._see)
        self.rights.on_change = self._see
        self.watching = asyncio.create_task(watch.keep())
        self.heard = max(0, len(self.written) - back)
        if self.heard == 0:
            log.complete()
        self.hear(len(self.written))
        async with self.database.connection() as connection:
            position, schools = await store.position(connection), await store.schools(connection)
        self.rights.know_schools(schools, position)
        log.seed(position)
        self.looked = await self._read([uid(name) for name in PEOPLE])
        self.attach()

    def _see(self, reader: Reader, scopes: frozenset[str]) -> None:
        self.seen[reader] = scopes

    @rule(count=st.sampled_from([1, 1, 2, 50]))
    def hear(self, count: int) -> None:
        """The gateway hears of changes, of the one it heard of last again."""
        for one in self.written[max(0, self.heard - 1) : self.heard + count]:
            document = None if one.document is None else one.document.model_dump_json()
            self.rights.apply(change(one.sequence, one.key, document))
        self.heard = min(len(self.written), self.heard + count)

    @rule(back=st.integers(1, REMEMBERED))
    def restart(self, back: int) -> None:
        """It is not ready before the roster and its log meet."""
        self.run(self._stop_gateway())
        self.deliver(back=0, count=max(0, len(self.written) - back - self.delivered), old=None)
        self.run(self._begin_gateway(back))

    async def _stop_gateway(self) -> None:
        self.watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.watching

    @rule()
    def look(self) -> None:
        """All open their streams anew: their scopes are read, and what happens before they are attached happens."""
        self.looked = self.run(self._read([uid(name) for name in PEOPLE]))

    async def _read(self, people: list[UUID]) -> dict[UUID, ReaderScopes]:
        async with self.database.connection() as connection:
            return await store.read_scopes_of(connection, people)

    @precondition(lambda self: self.looked)
    @rule()
    def attach(self) -> None:
        """Where the log does not reach back to what was read, the stream is refused."""
        for person, read in self.looked.items():
            if person in self.readers:
                self.rights.detach(self.readers.pop(person))
            reader = Reader(Socket(), UUID(int=1), UUID(int=2), person)
            with contextlib.suppress(RosterBehind):
                self.seen[reader] = self.rights.attach(reader, person, read)
                self.readers[person] = reader
        self.looked = {}

    @rule()
    def look_and_attach(self) -> None:
        self.look()
        self.attach()

    @rule(uai=_uai, kinds=st.lists(st.sampled_from(LinkKind), unique=True))
    def attach_after_a_school_has_changed(self, uai: str, kinds: list[LinkKind]) -> None:
        """What a school opens changes between look and attachment, and all others have been read anew."""
        self.look()
        self.open_school(uai, kinds)
        self.hear(len(self.written))
        self.deliver(back=0, count=len(self.written), old=None)
        self.open_streams_see_what_the_documents_do()
        self.attach()

    # What must hold

    @invariant()
    def the_replica_lets_each_see_what_the_documents_do(self) -> None:
        documents = self._documents(self.position)
        ids = [uid(name) for name in PEOPLE]
        for person, read in self.run(self._read(ids)).items():
            assert read.position == self.position
            assert read.held(self.now) == may_see(person, documents, self.now), person

    @invariant()
    def who_is_told_of_a_pupil_is_who_may_see_it(self) -> None:
        documents = self._documents(self.position)
        ids = [uid(name) for name in PEOPLE]
        told = self.run(self._guardians(ids))
        for child in ids:
            scope = f"guardians:pupils/{child}"
            assert told.get(scope, set()) == {one for one in ids if scope in may_see(one, documents, self.now)}, child

    async def _guardians(self, pupils: list[UUID]) -> dict[str, frozenset[UUID]]:
        async with self.database.connection() as connection:
            return dict((await store.guardians(connection, pupils, self.now)).of)

    @invariant()
    def open_streams_see_what_the_documents_do(self) -> None:
        """At once; but what a school opens is read of the replica, once that has heard of it."""
        heard = [one for one in self.written if one.sequence <= self.rights.log.position]
        schools = [one.sequence for one in heard if one.key.startswith(school_key(""))]
        if max(schools) <= self.position:
            self.run(self._until_seen())

    async def _until_seen(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while self._seen_otherwise():  # noqa: ASYNC110 - rights tell of changes alone
                    await asyncio.sleep(0.001)
        assert self._seen_otherwise() == {}

    def _seen_otherwise(self) -> dict[UUID, tuple[frozenset[str], set[str]]]:
        """Who sees something else than they may: what they see, and what they may."""
        found = {}
        for person, reader in self.readers.items():
            self.rights.judge(reader)
            at = max(self.rights.log.position, self.rights.read_at[reader])
            expected = may_see(person, self._documents(at), self.now)
            if self.seen[reader] != expected:
                found[person] = (self.seen[reader], expected)
        return found

    def teardown(self) -> None:
        """Once all have heard all, all see the same."""
        try:
            self.deliver(back=0, count=len(self.written), old=None)
            self.hear(len(self.written))
            self.the_replica_lets_each_see_what_the_documents_do()
            self.open_streams_see_what_the_documents_do()
        finally:
            self.run(self._stop_gateway())
            self.run(self.database.close())
            self.runner.close()


def test_however_documents_come_each_sees_what_the_latest_ones_give(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(Machine, "url", database_url)
    quick = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=quick)
