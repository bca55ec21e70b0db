"""Scopes: what a person may see, derived document by document, with the days on which each holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.directory import RoleName
from contracts.envelope import Audience
from contracts.feed import group_scope, pupil_scope, school_scope
from roster.facts import Facts, GroupFacts, PersonFacts, SchoolFacts, holds, parse

STAFF_ROLES = frozenset({RoleName.TEACHER, RoleName.STUDENT_AFFAIRS, RoleName.HEAD})
DEFAULT_ZONE = "Europe/Paris"


@dataclass(frozen=True, slots=True)
class DatedScope:
    """One thing a person may see: an audience of a pupil, group or school, from `starts` until before `ends`."""

    audience: Audience
    scope: str
    uai: str
    starts: date | None = None
    ends: date | None = None

    @property
    def text(self) -> str:
        """As clients see it and items are indexed: `guardians:pupils/<id>`."""
        return f"{self.audience}:{self.scope}"

    def holds(self, day: date) -> bool:
        """Whether it holds on a day of the school's zone."""
        return holds(self.starts, self.ends, day)


Schools = Mapping[str, SchoolFacts]


def from_document(key: str, document: bytes | str | None, person: UUID, schools: Schools) -> tuple[DatedScope, ...]:
    """What the document under `key` (None: a tombstone) lets `person` see."""
    facts = None if document is None else parse(key, document)
    return () if facts is None else from_facts(facts, person, schools)


def from_facts(facts: Facts, person: UUID, schools: Schools) -> tuple[DatedScope, ...]:
    """What one document's facts let `person` see."""
    if isinstance(facts, GroupFacts):
        return tuple(_of_group(facts, person))
    if isinstance(facts, PersonFacts) and not facts.ended:
        return (*_of_own(facts, person), *_of_links(facts, person, schools))
    return ()


def _of_group(group: GroupFacts, person: UUID) -> Iterator[DatedScope]:
    for teaching in group.teachers:
        if teaching.person == person and not group.ended:
            yield DatedScope(Audience.STAFF, group_scope(group.id), group.uai, teaching.starts, teaching.ends)


def _of_own(facts: PersonFacts, person: UUID) -> Iterator[DatedScope]:
    if facts.id != person:
        return
    for role in facts.roles:
        if role.name in STAFF_ROLES:
            yield DatedScope(Audience.STAFF, school_scope(role.uai), role.uai, role.starts, role.ends)
    yield from _of_pupil(facts, Audience.PUPILS, None, None, None)


def _of_links(facts: PersonFacts, person: UUID, schools: Schools) -> Iterator[DatedScope]:
    for link in facts.guardians:
        if link.person == person:
            opened = {uai for uai, school in schools.items() if school.reads(link.kind)}
            yield from _of_pupil(facts, Audience.GUARDIANS, link.starts, link.ends, opened)


def _of_pupil(
    facts: PersonFacts, audience: Audience, starts: date | None, ends: date | None, opened: set[str] | None
) -> Iterator[DatedScope]:
    """A pupil's own scopes, those of their groups and schools, each within the given period and the opened schools."""
    for role in facts.roles:
        if role.name is RoleName.PUPIL and (opened is None or role.uai in opened):
            period = _within(role.starts, role.ends, starts, ends)
            yield DatedScope(audience, pupil_scope(facts.id), role.uai, *period)
            yield DatedScope(audience, school_scope(role.uai), role.uai, *period)
    for member in facts.memberships:
        if opened is None or member.uai in opened:
            period = _within(member.starts, member.ends, starts, ends)
            yield DatedScope(audience, group_scope(member.group), member.uai, *period)


def _within(
    starts: date | None, ends: date | None, from_day: date | None, until: date | None
) -> tuple[date | None, date | None]:
    first = max((d for d in (starts, from_day) if d is not None), default=None)
    last = min((d for d in (ends, until) if d is not None), default=None)
    return first, last


def today(uai: str, schools: Schools, now: datetime) -> date:
    """The day it is at a school."""
    school = schools.get(uai)
    return now.astimezone(ZoneInfo(school.zone if school else DEFAULT_ZONE)).date()


def held(scopes: Iterable[DatedScope], schools: Schools, now: datetime) -> frozenset[str]:
    """The scopes, as text, that hold at this moment."""
    return frozenset(scope.text for scope in scopes if scope.holds(today(scope.uai, schools, now)))
