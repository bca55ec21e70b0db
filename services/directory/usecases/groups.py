"""Groups, their pupils and their teachers: create, change, date, withdraw, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis import audit
from chassis.audit import Entry
from chassis.database import Connection
from chassis.identity import Caller
from chassis.problems import FieldError, invalid
from contracts.directory import (
    GroupChanged,
    GroupKind,
    Membership,
    PersonChanged,
    RoleName,
    SchoolChanged,
    Teaching,
    group_key,
    person_key,
    school_key,
)
from contracts.envelope import new_id
from services.directory import store
from services.directory.documents import close, holds
from services.directory.ordering import ordered
from services.directory.schemas import GroupChange, GroupIn, Period, TeachingIn
from services.directory.store import Entity
from services.directory.usecases.standing import Done, at_school, check_version, existing, leading, put


@dataclass(frozen=True, slots=True)
class ClassList:
    """A group with the people in it today."""

    entity: Entity
    group: GroupChanged
    pupils: Sequence[tuple[PersonChanged, Membership]]
    teachers: dict[UUID, PersonChanged]


async def create(connection: Connection, by: Caller, body: GroupIn) -> Done:
    """Create a group in a school year that the school has."""
    await store.lock_writers(connection)
    entity, school = await existing(connection, SchoolChanged, school_key(body.uai), by, "groups.create")
    await leading(connection, by, body.uai, "groups.create", entity.key)
    if body.school_year not in {y.year for y in school.school_years}:
        raise invalid([FieldError("school_year", "known", "the school has no such year")])
    document = GroupChanged(
        id=UUID(new_id()), uai=body.uai, school_year=body.school_year, kind=body.kind, name=body.name, teachers=[]
    )
    return await put(connection, by, "groups.create", body.uai, Entity(document), document)


async def change(connection: Connection, by: Caller, id: UUID, body: GroupChange, if_match: str | None) -> Done:
    """Change what the body names."""
    entity, group = await _mine(connection, by, id, "groups.change")
    check_version(entity, if_match)
    update = body.model_dump(exclude_none=True)
    if body.form_teachers is not None:
        update["form_teachers"] = sorted(set(body.form_teachers))
        for place, person in enumerate(body.form_teachers):
            await _member(connection, by, group, person, RoleName.TEACHER, f"form_teachers.{place}")
    return await put(connection, by, "groups.change", group.uai, entity, group.model_copy(update=update))


async def end(connection: Connection, by: Caller, id: UUID) -> Done:
    """End a group: it stays known, and nobody has rights by it."""
    entity, group = await _mine(connection, by, id, "groups.end")
    return await put(connection, by, "groups.end", group.uai, entity, group.model_copy(update={"ended": True}))


async def put_pupil(connection: Connection, by: Caller, id: UUID, pupil: UUID, body: Period) -> Done:
    """Make a pupil of the school a member for a period; it replaces what stood there."""
    _, group = await _mine(connection, by, id, "memberships.put")
    entity, person = await _member(connection, by, group, pupil, RoleName.PUPIL, "person")
    others = [m for m in person.memberships if m.group != id]
    new = Membership(group=id, uai=group.uai, starts=body.starts, ends=body.ends)
    changed = person.model_copy(update={"memberships": ordered([*others, new])})
    return await put(connection, by, "memberships.put", group.uai, entity, changed)


async def withdraw_pupil(connection: Connection, by: Caller, id: UUID, pupil: UUID) -> Done:
    """End a pupil's membership today."""
    entity, group = await _mine(connection, by, id, "memberships.withdraw")
    today = (await at_school(connection, by, group.uai, "memberships.withdraw", entity.key)).today
    member, person = await existing(connection, PersonChanged, person_key(pupil), by, "memberships.withdraw")
    here = [m for m in person.memberships if m.group == id]
    if not here:
        raise audit.Refused(by, "memberships.withdraw", member.key, group.uai)
    others = [m for m in person.memberships if m.group != id]
    changed = person.model_copy(update={"memberships": ordered([*others, *close(here, today)])})
    return await put(connection, by, "memberships.withdraw", group.uai, member, changed)


async def put_teacher(connection: Connection, by: Caller, id: UUID, teacher: UUID, body: TeachingIn) -> Done:
    """Give a teacher of the school the group, in a subject and for a period; replaces the same subject's."""
    entity, group = await _mine(connection, by, id, "teachings.put")
    await _member(connection, by, group, teacher, RoleName.TEACHER, "person")
    subject = body.subject.subject() if body.subject else None
    code = subject.code if subject else None
    others = [t for t in group.teachers if (t.person, t.subject.code if t.subject else None) != (teacher, code)]
    new = Teaching(person=teacher, subject=subject, starts=body.starts, ends=body.ends)
    changed = group.model_copy(update={"teachers": ordered([*others, new])})
    return await put(connection, by, "teachings.put", group.uai, entity, changed)


async def withdraw_teacher(connection: Connection, by: Caller, id: UUID, teacher: UUID) -> Done:
    """End all that ties a teacher to the group, today."""
    entity, group = await _mine(connection, by, id, "teachings.withdraw")
    today = (await at_school(connection, by, group.uai, "teachings.withdraw", entity.key)).today
    here = [t for t in group.teachers if t.person == teacher]
    if not here and teacher not in group.form_teachers:
        raise audit.Refused(by, "teachings.withdraw", entity.key, group.uai)
    others = [t for t in group.teachers if t.person != teacher]
    update = {
        "teachers": ordered([*others, *close(here, today)]),
        "form_teachers": [t for t in group.form_teachers if t != teacher],
    }
    return await put(connection, by, "teachings.withdraw", group.uai, entity, group.model_copy(update=update))


async def read(connection: Connection, by: Caller, id: UUID) -> ClassList:
    """A group with its pupils and teachers, for its teachers and those who oversee the school."""
    entity, group = await existing(connection, GroupChanged, group_key(id), by, "groups.read")
    here = await at_school(connection, by, group.uai, "groups.read", entity.key)
    if not here.reads_group(group):
        raise audit.Refused(by, "groups.read", entity.key, group.uai)
    pupils = []
    for found in await store.mentioning(connection, "people", entity.key):
        person = found.document
        assert isinstance(person, PersonChanged)
        pupils += [
            (person, m) for m in person.memberships if m.group == id and holds(m, here.today) and not person.ended
        ]
    pupils.sort(key=lambda one: (one[0].family_name, one[0].given_name, one[0].id))
    ids = {t.person for t in group.teachers} | set(group.form_teachers)
    loaded = await store.load(connection, [person_key(one) for one in ids])
    teachers = {e.document.id: e.document for e in loaded.values() if isinstance(e.document, PersonChanged)}
    await audit.record(connection, Entry(by.subject, "groups.read", entity.key, group.uai))
    return ClassList(entity, group, pupils, teachers)


async def listed(connection: Connection, by: Caller, uai: str, kind: GroupKind | None, mine: bool) -> list[Entity]:
    """A school's groups: all for who oversees it, for a teacher those they teach (`mine` asks for these alone)."""
    here = await at_school(connection, by, uai, "groups.list", school_key(uai))
    if not (here.oversees() or RoleName.TEACHER in here.roles):
        raise audit.Refused(by, "groups.list", school_key(uai), uai)
    by_teacher = [person_key(by.person)] if by.person and (mine or not here.oversees()) else []
    found = []
    for entity in await store.mentioning(connection, "groups", school_key(uai), *by_teacher):
        group = entity.document
        assert isinstance(group, GroupChanged)
        readable = here.teaches(group) if mine else here.reads_group(group)
        if readable and not group.ended and kind in (None, group.kind):
            found.append((group.kind != GroupKind.CLASS, group.name, entity.key, entity))
    return [entity for *_, entity in sorted(found, key=lambda one: one[:3])]


async def _mine(connection: Connection, by: Caller, id: UUID, action: str) -> tuple[Entity, GroupChanged]:
    """The group, if the caller leads its school; the caller is the only writer from here on."""
    await store.lock_writers(connection)
    entity, group = await existing(connection, GroupChanged, group_key(id), by, action)
    await leading(connection, by, group.uai, action, entity.key)
    return entity, group


async def _member(
    connection: Connection, by: Caller, group: GroupChanged, id: UUID, role: RoleName, field: str
) -> tuple[Entity, PersonChanged]:
    """A person of the group's school who is a pupil (or teacher) there; says which rule does not hold."""
    entity, person = await existing(connection, PersonChanged, person_key(id), by, "people.read")
    names = {r.name for r in person.roles if r.uai == group.uai}
    if not names:
        raise audit.Refused(by, "people.read", entity.key, group.uai)
    if role not in names or person.ended:
        raise invalid([FieldError(field, "role", f"the person is no {role} of the school")])
    return entity, person
