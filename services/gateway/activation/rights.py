"""Who may make a code for whom: operators for anybody, a school's head and student affairs for its families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.database import Connection
from contracts.directory import RoleName, person_key, school_key
from roster import store
from roster.facts import PersonFacts, SchoolFacts
from services.gateway.store import with_accounts

_OFFICE = (RoleName.HEAD, RoleName.STUDENT_AFFAIRS)
_FAMILY = (RoleName.PUPIL, RoleName.GUARDIAN)


async def refused(
    connection: Connection, by: UUID | None, people: Sequence[UUID], now: datetime
) -> frozenset[UUID] | None:
    """Those for whom `by` (None: an operator) may make no code; None when `by` may make none at all."""
    known = await _people(connection, people if by is None else [*people, by])
    if by is None:
        return frozenset(one for one in people if one not in known)
    days = await _days(connection, known, now)
    schools = _schools_of(known.get(by), _OFFICE, days)
    if not schools:
        return None
    having = await with_accounts(connection, people)
    return frozenset(one for one in people if one in having or not _family_of(known.get(one), schools, days))


async def _people(connection: Connection, people: Sequence[UUID]) -> dict[UUID, PersonFacts]:
    found = (await store.facts(connection, [person_key(one) for one in people])).values()
    return {one.id: one for one in found if isinstance(one, PersonFacts) and not one.ended}


async def _days(connection: Connection, people: Mapping[UUID, PersonFacts], now: datetime) -> dict[str, date]:
    """The present day at each school where somebody has a role."""
    keys = {school_key(role.uai) for one in people.values() for role in one.roles}
    found = (await store.facts(connection, keys)).values()
    return {one.uai: now.astimezone(ZoneInfo(one.zone)).date() for one in found if isinstance(one, SchoolFacts)}


def _schools_of(person: PersonFacts | None, names: Sequence[RoleName], days: Mapping[str, date]) -> frozenset[str]:
    if person is None:
        return frozenset()
    return frozenset(uai for uai, day in days.items() for name in names if person.has_role(name, uai, day))


def _family_of(person: PersonFacts | None, schools: frozenset[str], days: Mapping[str, date]) -> bool:
    # Somebody with a task at any school is no family here: their code would lend the office another's rights.
    return (
        person is not None
        and all(role.name in _FAMILY for role in person.roles)
        and bool(schools & _schools_of(person, _FAMILY, days))
    )
