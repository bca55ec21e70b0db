"""People and their roles: create, change, date, withdraw, end, erase, read."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from chassis import audit
from chassis.audit import Entry
from chassis.database import Connection
from chassis.identity import Caller
from chassis.problems import FieldError, Problem, invalid
from contracts.directory import GroupChanged, PersonChanged, Role, RoleName, person_key
from contracts.envelope import new_id
from services.directory import store
from services.directory.documents import close, over
from services.directory.domain import schools_of
from services.directory.importing import memory
from services.directory.ordering import ordered
from services.directory.schemas import Period, PersonChange, PersonIn
from services.directory.store import Entity
from services.directory.usecases.standing import (
    Done,
    check_version,
    existing,
    leading,
    leading_person,
    put,
    standing,
)


async def create(connection: Connection, by: Caller, body: PersonIn) -> Done:
    """Create a person with roles at schools the caller leads; a head is named by an operator."""
    await store.lock_writers(connection)
    id = UUID(new_id())
    for uai in dict.fromkeys(role.uai for role in body.roles):
        await leading(connection, by, uai, "people.create", f"schools/{uai}")
    for place, role in enumerate(body.roles):
        _check_head(by, role.name, f"roles.{place}.name")
    roles = ordered(Role(name=r.name, uai=r.uai, starts=r.starts, ends=r.ends) for r in body.roles)
    if len({(r.name, r.uai) for r in roles}) < len(roles):
        raise invalid([FieldError("roles", "unique", "a role stands twice")])
    document = PersonChanged(id=id, roles=roles, **body.model_dump(exclude={"roles"}))
    return await put(connection, by, "people.create", roles[0].uai, Entity(document), document)


async def change(connection: Connection, by: Caller, id: UUID, body: PersonChange, if_match: str | None) -> Done:
    """Change what the body names; null empties what may be empty."""
    entity, person, uai = await _mine(connection, by, id, "people.change")
    check_version(entity, if_match)
    update = body.model_dump(exclude_unset=True)
    for field in ("given_name", "family_name"):
        if field in update and update[field] is None:
            raise invalid([FieldError(field, "missing", "a person has a name")])
    return await put(connection, by, "people.change", uai, entity, person.model_copy(update=update))


async def end(connection: Connection, by: Caller, id: UUID) -> Done:
    """A person leaves: every role, membership, link and teaching of theirs ends today.

    A head may end only who is at no school but theirs; 409 otherwise.
    """
    entity, person, uai = await _mine(connection, by, id, "people.end")
    made = await standing(connection, by, schools_of(person))
    today = made[uai].today
    if not all(made[r.uai].leads() for r in person.roles if r.uai in made and not over(r, today)):
        raise Problem(409, "belongs-elsewhere", "The person is at another school too")
    gone = person.model_copy(
        update={
            "ended": True,
            "roles": close(person.roles, today),
            "memberships": close(person.memberships, today),
            "guardians": close(person.guardians, today),
        }
    )
    for tie, changed in await _ties(connection, id):
        await put(connection, by, "people.end", _uai(changed), tie, _without(changed, id, today=today))
    return await put(connection, by, "people.end", uai, entity, gone)


async def erase(connection: Connection, by: Caller, id: UUID) -> int:
    """Erase a person who has ended, everywhere; operators only. Returns the new position."""
    key = person_key(id)
    if by.operator is None:
        raise audit.Refused(by, "people.erase", key, None)
    await store.lock_writers(connection)
    entity, person = await existing(connection, PersonChanged, key, by, "people.erase")
    if not person.ended:
        raise Problem(409, "not-ended", "A person ends first and is erased later")
    for tie, changed in await _ties(connection, id):
        await put(connection, by, "people.erase", _uai(changed), tie, _without(changed, id, today=None))
    uais = schools_of(person)
    await audit.record(connection, Entry(by.subject, "people.erase", key, uais[0] if uais else None))
    if entity.source is not None:
        await memory.forget(connection, entity.source, id)
    return await store.erase(connection, entity)


async def _ties(connection: Connection, id: UUID) -> list[tuple[Entity, PersonChanged | GroupChanged]]:
    """Pupils and groups that point at a person."""
    key = person_key(id)
    found = [*await store.mentioning(connection, "people", key), *await store.mentioning(connection, "groups", key)]
    return [(e, e.document) for e in found if isinstance(e.document, PersonChanged | GroupChanged)]


def _without(document: PersonChanged | GroupChanged, id: UUID, today: date | None) -> PersonChanged | GroupChanged:
    """The document with its ties to a person ended today, or, without a day, gone."""
    name = "guardians" if isinstance(document, PersonChanged) else "teachers"
    parts = getattr(document, name)
    theirs = [p for p in parts if p.person == id]
    kept = close(theirs, today) if today else []
    update: dict[str, object] = {name: ordered([*(p for p in parts if p.person != id), *kept])}
    if isinstance(document, GroupChanged):
        update["form_teachers"] = [t for t in document.form_teachers if t != id]
    return document.model_copy(update=update)


def _uai(document: PersonChanged | GroupChanged) -> str | None:
    if isinstance(document, GroupChanged):
        return document.uai
    return next(iter(schools_of(document)), None)


async def put_role(connection: Connection, by: Caller, id: UUID, uai: str, role: RoleName, body: Period) -> Done:
    """Give a person a role at a school the caller leads, for a period; it replaces what stood there."""
    key = person_key(id)
    await store.lock_writers(connection)
    await leading(connection, by, uai, "roles.put", key)
    _check_head(by, role, "role")
    entity, person = await existing(connection, PersonChanged, key, by, "roles.put")
    if person.ended:
        raise Problem(409, "ended", "The person has left")
    others = [r for r in person.roles if (r.name, r.uai) != (role, uai)]
    new = Role(name=role, uai=uai, starts=body.starts, ends=body.ends)
    changed = person.model_copy(update={"roles": ordered([*others, new])})
    return await put(connection, by, "roles.put", uai, entity, changed)


async def withdraw_role(connection: Connection, by: Caller, id: UUID, uai: str, role: RoleName) -> Done:
    """End a role today."""
    key = person_key(id)
    await store.lock_writers(connection)
    today = (await leading(connection, by, uai, "roles.withdraw", key)).today
    _check_head(by, role, "role")
    entity, person = await existing(connection, PersonChanged, key, by, "roles.withdraw")
    here = [r for r in person.roles if (r.name, r.uai) == (role, uai)]
    if not here:
        raise audit.Refused(by, "roles.withdraw", key, uai)
    others = [r for r in person.roles if (r.name, r.uai) != (role, uai)]
    changed = person.model_copy(update={"roles": ordered([*others, *close(here, today)])})
    return await put(connection, by, "roles.withdraw", uai, entity, changed)


async def read(connection: Connection, by: Caller, id: UUID) -> Entity:
    """A person: themself, or for who oversees a school of theirs."""
    entity, person = await existing(connection, PersonChanged, person_key(id), by, "people.read")
    if by.person == id and not person.ended:
        return entity
    made = await standing(connection, by, schools_of(person))
    overseen = next((s for s in made.values() if s.oversees()), None)
    if overseen is None:
        raise audit.Refused(by, "people.read", entity.key, next(iter(made), None))
    await audit.record(connection, Entry(by.subject, "people.read", entity.key, overseen.uai))
    return entity


def _check_head(by: Caller, role: RoleName, field: str) -> None:
    if role is RoleName.HEAD and by.operator is None:
        raise invalid([FieldError(field, "operator", "a head is named by an operator of the platform")])


async def _mine(connection: Connection, by: Caller, id: UUID, action: str) -> tuple[Entity, PersonChanged, str]:
    """The person and a school of theirs that the caller leads; the caller is the only writer from here on."""
    await store.lock_writers(connection)
    entity, person = await existing(connection, PersonChanged, person_key(id), by, action)
    here = await leading_person(connection, by, person, action, entity.key)
    return entity, person, here.uai
