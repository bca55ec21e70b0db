"""Who calls, and how every writing intention begins and ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from chassis import audit
from chassis.audit import Entry
from chassis.database import Connection
from chassis.identity import Caller
from chassis.problems import Problem
from contracts.directory import GroupChanged, PersonChanged, SchoolChanged, person_key, school_key
from services.directory import store
from services.directory.documents import Document
from services.directory.domain import Standing, schools_of
from services.directory.store import Entity

Kind = TypeVar("Kind", SchoolChanged, GroupChanged, PersonChanged)


@dataclass(frozen=True, slots=True)
class Done:
    """What a write led to: the document as it stands, and how far the directory has come."""

    entity: Entity
    position: int


async def standing(connection: Connection, by: Caller, uais: Iterable[str]) -> dict[str, Standing]:
    """What the caller is at each of these schools; one that does not exist is nobody's."""
    wanted = list(dict.fromkeys(uais))
    keys = [school_key(uai) for uai in wanted]
    own = [person_key(by.person)] if by.person else []
    found = await store.load(connection, [*keys, *own])
    now = await store.now(connection)
    person = found[own[0]].document if own and own[0] in found else None
    assert person is None or isinstance(person, PersonChanged)
    made = {}
    for uai, key in zip(wanted, keys, strict=True):
        if key in found:
            school = found[key].document
            assert isinstance(school, SchoolChanged)
            made[uai] = Standing(uai, day_in(school.zone, now), person, by.operator is not None)
    return made


def day_in(zone: str, now: datetime) -> date:
    """The day it is in a zone."""
    return now.astimezone(ZoneInfo(zone)).date()


async def at_school(connection: Connection, by: Caller, uai: str, action: str, object: str) -> Standing:
    """The caller's standing at a school that exists; refused otherwise."""
    found = (await standing(connection, by, [uai])).get(uai)
    if found is None:
        raise audit.Refused(by, action, object, None)
    return found


async def leading(connection: Connection, by: Caller, uai: str, action: str, object: str) -> Standing:
    """The caller's standing at a school that they lead; refused otherwise."""
    found = await at_school(connection, by, uai, action, object)
    if not found.leads():
        raise audit.Refused(by, action, object, uai)
    return found


async def leading_person(
    connection: Connection, by: Caller, person: PersonChanged, action: str, object: str
) -> Standing:
    """The caller's standing at a school of the person that they lead; refused otherwise."""
    uais = schools_of(person)
    made = await standing(connection, by, uais)
    leads = [s for s in made.values() if s.leads()]
    if not leads:
        raise audit.Refused(by, action, object, uais[0] if uais else None)
    return leads[0]


async def existing(connection: Connection, kind: type[Kind], key: str, by: Caller, action: str) -> tuple[Entity, Kind]:
    """The entity of a key with its document; refused when there is none, as if it were somebody else's."""
    found = (await store.load(connection, [key])).get(key)
    if found is None or not isinstance(found.document, kind):
        raise audit.Refused(by, action, key, None)
    return found, found.document


def check_version(entity: Entity, if_match: str | None) -> None:
    """Hold a change against the version its author saw; raises a 412 `Problem` when another came between."""
    if if_match is not None and if_match.strip() not in ("*", f'"{entity.version}"'):
        raise Problem(412, "changed-meanwhile", "Somebody has changed this since it was read")


async def put(
    connection: Connection, by: Caller, action: str, uai: str | None, entity: Entity, document: Document
) -> Done:
    """Store, publish and audit a document if it differs from what stands; nothing happens otherwise."""
    if entity.version and entity.document == document:
        return Done(entity, await store.position(connection))
    changed = replace(entity, document=document)
    position = await store.save(connection, [changed])
    await audit.record(connection, Entry(by.subject, action, changed.key, uai))
    return Done(replace(changed, version=position), position)
