"""Rights of the open streams: what each reader may see now, kept up with the directory and with the calendar."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.directory import school_key
from roster.facts import SchoolFacts
from roster.scopes import DEFAULT_ZONE, DatedScope, from_document, held
from roster.store import ReaderScopes
from services.gateway.stream.directory_log import Change, DirectoryLog
from services.gateway.stream.reader import Reader

_Key = TypeVar("_Key")


class RosterBehind(Exception):
    """The gateway's roster is further behind the directory than the log of recent changes reaches."""


@dataclass(slots=True)
class _Held:
    person: UUID
    by_key: dict[str, tuple[DatedScope, ...]]


def now() -> datetime:
    """The moment at which dates are judged."""
    return datetime.now(UTC)


class Rights:
    """The scopes of every open stream; `on_change` is called when those of a reader are others now."""

    def __init__(self, log: DirectoryLog, clock: Callable[[], datetime] = now) -> None:
        self.log = log
        self.schools: dict[str, SchoolFacts] = {}
        self.on_change: Callable[[Reader, frozenset[str]], None] = lambda _, __: None
        self.on_school: Callable[[int], None] = lambda _: None
        """Called with the sequence of a change of what a school opens: rights must be read anew."""
        self._clock = clock
        self._held: dict[Reader, _Held] = {}
        self._by_person: dict[UUID, set[Reader]] = {}
        self._by_key: dict[str, set[Reader]] = {}

    def know_schools(self, schools: dict[str, SchoolFacts], position: int) -> None:
        """Begin with the schools as the roster held them at a position; raises `RosterBehind`."""
        self.schools = dict(schools)
        for change in self._since(position):
            self._learn_school(change)

    def attach(self, reader: Reader, person: UUID, read: ReaderScopes) -> frozenset[str]:
        """Follow a reader from the scopes just read, brought up to now; returns what it may see.

        Raises `RosterBehind`. Nothing is awaited between the log and the registration, so no change falls between.
        """
        mine = dict(read.by_key)
        for change in self._since(read.position):
            if person in change.people or change.key in mine:
                self._put(mine, change, person)
        self.detach(reader)
        self._held[reader] = _Held(person, mine)
        self._by_person.setdefault(person, set()).add(reader)
        for key in mine:
            self._by_key.setdefault(key, set()).add(reader)
        return self._now(mine)

    def _since(self, position: int) -> Iterable[Change]:
        try:
            return self.log.since(position)
        except LookupError as error:
            raise RosterBehind from error

    def detach(self, reader: Reader) -> None:
        """Forget a reader."""
        known = self._held.pop(reader, None)
        if known is None:
            return
        _discard(self._by_person, known.person, reader)
        for key in known.by_key:
            _discard(self._by_key, key, reader)

    def apply(self, change: Change) -> None:
        """Take the directory's next change in; repeats are known and dropped."""
        if not self.log.append(change):
            return
        self._learn_school(change)
        affected = set(self._by_key.get(change.key, ()))
        for person in change.people:
            affected |= self._by_person.get(person, set())
        for reader in affected:
            self._change(reader, change)

    def _learn_school(self, change: Change) -> None:
        if not change.key.startswith(school_key("")):
            return
        facts = change.facts
        if isinstance(facts, SchoolFacts):
            before = self.schools.get(facts.uai)
            self.schools[facts.uai] = facts
            if before is None or (before.opened_to, before.zone) != (facts.opened_to, facts.zone):
                self.on_school(change.sequence)
        elif facts is None:
            self.schools.pop(change.key.removeprefix(school_key("")), None)
            self.on_school(change.sequence)

    def _change(self, reader: Reader, change: Change) -> None:
        known = self._held[reader]
        self._put(known.by_key, change, known.person)
        if change.key in known.by_key:
            self._by_key.setdefault(change.key, set()).add(reader)
        else:
            _discard(self._by_key, change.key, reader)
        self.on_change(reader, self._now(known.by_key))

    def _put(self, mine: dict[str, tuple[DatedScope, ...]], change: Change, person: UUID) -> None:
        scopes = from_document(change.key, change.document, person, self.schools)
        if scopes:
            mine[change.key] = scopes
        else:
            mine.pop(change.key, None)

    def _now(self, mine: dict[str, tuple[DatedScope, ...]]) -> frozenset[str]:
        return held((scope for scopes in mine.values() for scope in scopes), self.schools, self._clock())

    # The calendar

    def readers(self) -> tuple[Reader, ...]:
        """All that are followed."""
        return tuple(self._held)

    def follows(self, reader: Reader) -> bool:
        """Whether a reader is still followed."""
        return reader in self._held

    def judge(self, reader: Reader) -> None:
        """See what a reader's dates give now."""
        known = self._held.get(reader)
        if known is not None:
            self.on_change(reader, self._now(known.by_key))

    def days(self) -> dict[str, date]:
        """The day it is in each zone that has a school."""
        moment = self._clock()
        return {zone: moment.astimezone(ZoneInfo(zone)).date() for zone in self._zones()}

    def seconds_to_midnight(self) -> float:
        """Seconds until the next day begins in any zone that has a school."""
        moment = self._clock()
        return min(_seconds_left(moment, ZoneInfo(zone)) for zone in self._zones())

    def _zones(self) -> set[str]:
        return {school.zone for school in self.schools.values()} | {DEFAULT_ZONE}


def _seconds_left(moment: datetime, zone: ZoneInfo) -> float:
    tomorrow = moment.astimezone(zone).date() + timedelta(days=1)
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)
    return max(0.0, (midnight.astimezone(UTC) - moment).total_seconds())


def _discard(index: dict[_Key, set[Reader]], key: _Key, reader: Reader) -> None:
    readers = index.get(key)
    if readers is not None:
        readers.discard(reader)
        if not readers:
            del index[key]
