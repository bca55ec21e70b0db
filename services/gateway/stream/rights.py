"""Rights of the open streams: what each reader may see now, kept up with the directory and with the calendar."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.directory import LinkKind, person_key, school_key
from roster.facts import Facts, PersonFacts, SchoolFacts
from roster.scopes import DEFAULT_ZONE, DatedScope, from_document, held
from roster.store import ReaderScopes
from services.gateway.stream.directory_log import Change, DirectoryLog
from services.gateway.stream.reader import Reader

_Key = TypeVar("_Key")


class RosterBehind(Exception):
    """The gateway's roster is further behind the directory than the log of recent changes reaches."""


@dataclass(slots=True)
class _Held:
    """What a reader was found to see when the roster was at `position`, brought up to now."""

    person: UUID
    position: int
    by_key: dict[str, tuple[DatedScope, ...]]
    ended: bool


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
        self._school_changed = 0
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
        known = _Held(person, read.position, dict(read.by_key), read.ended)
        for change in self._since(read.position):
            if person in change.people or change.key in known.by_key:
                self._put(known, change)
        self.detach(reader)
        self._held[reader] = known
        self._by_person.setdefault(person, set()).add(reader)
        for key in known.by_key:
            self._by_key.setdefault(key, set()).add(reader)
        if read.position < self._school_changed:
            # Whoever was there when the school changed has been read anew already.
            self.on_school(self._school_changed)
        return self._now(known)

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
        facts, uai = change.facts, change.key.removeprefix(school_key(""))
        before = self.schools.pop(uai, None)
        if isinstance(facts, SchoolFacts):
            self.schools[uai] = facts
        if _opens(before) != _opens(facts):
            self._school_changed = change.sequence
            self.on_school(change.sequence)

    def _change(self, reader: Reader, change: Change) -> None:
        known = self._held[reader]
        if change.sequence <= known.position:
            # The roster was ahead of this process: what it said is newer.
            return
        self._put(known, change)
        if change.key in known.by_key:
            self._by_key.setdefault(change.key, set()).add(reader)
        else:
            _discard(self._by_key, change.key, reader)
        self.on_change(reader, self._now(known))

    def _put(self, known: _Held, change: Change) -> None:
        scopes = from_document(change.key, change.document, known.person, self.schools)
        if scopes:
            known.by_key[change.key] = scopes
        else:
            known.by_key.pop(change.key, None)
        if change.key == person_key(known.person):
            own = change.facts
            known.ended = isinstance(own, PersonFacts) and own.ended

    def _now(self, known: _Held) -> frozenset[str]:
        if known.ended:
            return frozenset()
        return held((scope for scopes in known.by_key.values() for scope in scopes), self.schools, self._clock())

    # The calendar

    def readers(self) -> tuple[Reader, ...]:
        """All that are followed."""
        return tuple(self._held)

    def read_before(self, position: int) -> tuple[Reader, ...]:
        """Those whose scopes were read when the roster had not come so far."""
        return tuple(reader for reader, known in self._held.items() if known.position < position)

    def follows(self, reader: Reader) -> bool:
        """Whether a reader is still followed."""
        return reader in self._held

    def judge(self, reader: Reader) -> None:
        """See what a reader's dates give now."""
        known = self._held.get(reader)
        if known is not None:
            self.on_change(reader, self._now(known))

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


def _opens(school: Facts | None) -> tuple[list[LinkKind], str] | None:
    """What of a school decides on rights."""
    return (school.opened_to, school.zone) if isinstance(school, SchoolFacts) else None


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
