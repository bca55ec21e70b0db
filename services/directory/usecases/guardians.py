"""What ties adults to a pupil: grant, date, withdraw, read. Authority belongs to the link, never to the adult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis import audit
from chassis.audit import Entry
from chassis.database import Connection
from chassis.identity import Caller
from chassis.problems import FieldError, Problem, invalid
from contracts.directory import GuardianLink, PersonChanged, RoleName, person_key
from services.directory import store
from services.directory.documents import close
from services.directory.domain import schools_of
from services.directory.ordering import ordered
from services.directory.schemas import GuardianIn
from services.directory.store import Entity
from services.directory.usecases.standing import Done, existing, leading_person, put, standing


@dataclass(frozen=True, slots=True)
class Family:
    """A pupil with their links and the adults at the other ends."""

    entity: Entity
    links: Sequence[GuardianLink]
    adults: dict[UUID, PersonChanged]


async def put_link(connection: Connection, by: Caller, pupil: UUID, adult: UUID, body: GuardianIn) -> Done:
    """Tie an adult to a pupil for a period; it replaces what tied them."""
    entity, child, uai = await _mine(connection, by, pupil, "guardians.put")
    if pupil == adult:
        raise invalid([FieldError("person", "other", "nobody is their own guardian")])
    _, found = await existing(connection, PersonChanged, person_key(adult), by, "guardians.put")
    if found.ended or child.ended:
        raise Problem(409, "ended", "The person has left")
    if not any(r.name is RoleName.PUPIL for r in child.roles):
        raise invalid([FieldError("pupil", "role", "the person is no pupil")])
    others = [link for link in child.guardians if link.person != adult]
    new = GuardianLink(person=adult, kind=body.kind, starts=body.starts, ends=body.ends)
    changed = child.model_copy(update={"guardians": ordered([*others, new])})
    return await put(connection, by, "guardians.put", uai, entity, changed)


async def withdraw(connection: Connection, by: Caller, pupil: UUID, adult: UUID) -> Done:
    """End what ties an adult to a pupil, today; it takes effect at once."""
    entity, child, uai = await _mine(connection, by, pupil, "guardians.withdraw")
    made = await standing(connection, by, [uai])
    here = [link for link in child.guardians if link.person == adult]
    if not here:
        raise audit.Refused(by, "guardians.withdraw", entity.key, uai)
    others = [link for link in child.guardians if link.person != adult]
    changed = child.model_copy(update={"guardians": ordered([*others, *close(here, made[uai].today)])})
    return await put(connection, by, "guardians.withdraw", uai, entity, changed)


async def read(connection: Connection, by: Caller, pupil: UUID) -> Family:
    """A pupil's links, past ones too, for who oversees a school of theirs."""
    entity, child = await existing(connection, PersonChanged, person_key(pupil), by, "guardians.read")
    made = await standing(connection, by, schools_of(child))
    overseen = next((s for s in made.values() if s.oversees()), None)
    if overseen is None:
        raise audit.Refused(by, "guardians.read", entity.key, next(iter(made), None))
    loaded = await store.load(connection, [person_key(link.person) for link in child.guardians])
    adults = {e.document.id: e.document for e in loaded.values() if isinstance(e.document, PersonChanged)}
    await audit.record(connection, Entry(by.subject, "guardians.read", entity.key, overseen.uai))
    return Family(entity, child.guardians, adults)


async def _mine(connection: Connection, by: Caller, pupil: UUID, action: str) -> tuple[Entity, PersonChanged, str]:
    await store.lock_writers(connection)
    entity, child = await existing(connection, PersonChanged, person_key(pupil), by, action)
    here = await leading_person(connection, by, child, action, entity.key)
    return entity, child, here.uai
