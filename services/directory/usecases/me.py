"""Who am I: names, roles of today, and the children whose news the caller may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis.database import Connection
from chassis.identity import Caller
from contracts.directory import (
    GroupChanged,
    PersonChanged,
    Role,
    SchoolChanged,
    group_key,
    person_key,
    school_key,
)
from services.directory import store
from services.directory.documents import holds
from services.directory.domain import class_of, reading_schools, schools_of
from services.directory.usecases.standing import day_in


@dataclass(frozen=True, slots=True)
class Child:
    """A child, where the caller reads about them, and the class they are in there."""

    person: PersonChanged
    school: SchoolChanged
    class_: GroupChanged | None


@dataclass(frozen=True, slots=True)
class Me:
    """What the caller is today; empty for an operator and for who has left."""

    person: PersonChanged | None = None
    roles: Sequence[tuple[Role, str]] = ()
    """Each role with the name of its school."""
    children: list[Child] = field(default_factory=list)


async def me(connection: Connection, by: Caller) -> Me:
    """Read it; days are those of each school's zone."""
    if by.person is None:
        return Me()
    found = (await store.load(connection, [person_key(by.person)])).get(person_key(by.person))
    if found is None or not isinstance(found.document, PersonChanged) or found.document.ended:
        return Me()
    person = found.document
    now = await store.now(connection)
    linked = [e.document for e in await store.mentioning(connection, "people", found.key)]
    children = [c for c in linked if isinstance(c, PersonChanged)]
    schools = await _schools(connection, [person, *children])
    groups = await _groups(connection, children)
    roles = [
        (role, schools[role.uai].name)
        for role in person.roles
        if role.uai in schools and holds(role, day_in(schools[role.uai].zone, now))
    ]
    made = [one for child in children if (one := _child(child, person, schools, groups, now)) is not None]
    made.sort(key=lambda one: (one.person.birth_date or now.date(), one.person.given_name, one.person.id))
    return Me(person, roles, made)


def _child(
    child: PersonChanged,
    adult: PersonChanged,
    schools: dict[str, SchoolChanged],
    groups: list[GroupChanged],
    now: datetime,
) -> Child | None:
    own = [schools[uai] for uai in schools_of(child) if uai in schools]
    reads = [s for s in own if reading_schools(child, adult, [s], day_in(s.zone, now))]
    if not reads:
        return None
    made = [Child(child, s, class_of(child, groups, s.uai, day_in(s.zone, now))) for s in reads]
    return next((one for one in made if one.class_ is not None), made[0])


async def _schools(connection: Connection, people: Sequence[PersonChanged]) -> dict[str, SchoolChanged]:
    keys = {school_key(uai) for person in people for uai in schools_of(person)}
    loaded = await store.load(connection, sorted(keys))
    return {e.document.uai: e.document for e in loaded.values() if isinstance(e.document, SchoolChanged)}


async def _groups(connection: Connection, children: Sequence[PersonChanged]) -> list[GroupChanged]:
    keys = {group_key(m.group) for child in children for m in child.memberships}
    loaded = await store.load(connection, sorted(keys))
    return [e.document for e in loaded.values() if isinstance(e.document, GroupChanged)]
