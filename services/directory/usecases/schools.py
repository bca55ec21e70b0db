"""Schools: create, change, read."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chassis import audit
from chassis.database import Connection
from chassis.identity import Caller
from chassis.problems import FieldError, Problem, invalid
from contracts.directory import PersonChanged, SchoolChanged, SchoolYear, Term, person_key, school_key
from contracts.envelope import new_id
from services.directory import store
from services.directory.ordering import ordered
from services.directory.schemas import SchoolChange, SchoolIn
from services.directory.store import Entity
from services.directory.usecases.standing import Done, check_version, existing, leading, put, standing


async def create(connection: Connection, by: Caller, body: SchoolIn) -> Done:
    """Create a school; operators only. 409 when it exists."""
    key = school_key(body.uai)
    if by.operator is None:
        raise audit.Refused(by, "schools.create", key, None)
    await store.lock_writers(connection)
    if await store.load(connection, [key]):
        raise Problem(409, "exists", "This school exists")
    document = SchoolChanged(uai=body.uai, name=body.name, zone=body.zone, school_years=[], terms=[])
    document = _with(document, body)
    return await put(connection, by, "schools.create", body.uai, Entity(document), document)


async def change(connection: Connection, by: Caller, uai: str, body: SchoolChange, if_match: str | None) -> Done:
    """Change what the body names."""
    await store.lock_writers(connection)
    entity, school = await existing(connection, SchoolChanged, school_key(uai), by, "schools.change")
    await leading(connection, by, uai, "schools.change", entity.key)
    check_version(entity, if_match)
    return await put(connection, by, "schools.change", uai, entity, _with(school, body))


def _with(school: SchoolChanged, body: SchoolIn | SchoolChange) -> SchoolChanged:
    update: dict[str, object] = {}
    if body.name is not None:
        update["name"] = body.name
    if body.zone is not None:
        update["zone"] = _zone(body.zone)
    if body.opened_to is not None:
        update["opened_to"] = sorted(set(body.opened_to))
    if body.school_years is not None:
        update["school_years"] = ordered(SchoolYear(**y.model_dump()) for y in body.school_years)
    if body.terms is not None:
        update["terms"] = ordered(Term(**{**t.model_dump(), "id": t.id or UUID(new_id())}) for t in body.terms)
    changed = school.model_copy(update=update)
    if {"school_years", "terms"} & update.keys():
        _check(changed)
    return changed


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid([FieldError("zone", "zone", "not an IANA time zone")]) from error
    return name


def _check(school: SchoolChanged) -> None:
    years = [y.year for y in school.school_years]
    errors = []
    if len(set(years)) < len(years):
        errors.append(FieldError("school_years", "unique", "a year stands twice"))
    if len({t.id for t in school.terms}) < len(school.terms):
        errors.append(FieldError("terms", "unique", "an id stands twice"))
    by_year = {y.year: y for y in school.school_years}
    for place, term in enumerate(school.terms):
        year = by_year.get(term.school_year)
        if year is None:
            errors.append(FieldError(f"terms.{place}.school_year", "known", "the school has no such year"))
        elif not year.starts <= term.starts < term.ends <= year.ends:
            errors.append(FieldError(f"terms.{place}", "within", "the term is not within its school year"))
    if errors:
        raise invalid(errors)


async def read(connection: Connection, by: Caller, uai: str) -> Entity:
    """A school, for whoever is something there."""
    entity, _ = await existing(connection, SchoolChanged, school_key(uai), by, "schools.read")
    found = await standing(connection, by, [uai])
    if not found[uai].belongs():
        raise audit.Refused(by, "schools.read", entity.key, uai)
    return entity


async def listed(connection: Connection, by: Caller, after: str, limit: int) -> list[Entity]:
    """Schools by identifier: all for an operator, for a person those they are something at."""
    if by.operator is not None:
        return await store.page(connection, "schools", after, limit)
    me = (await store.load(connection, [person_key(by.person or "")])).get(person_key(by.person or ""))
    if me is None or not isinstance(me.document, PersonChanged):
        return []
    uais = sorted({r.uai for r in me.document.roles if r.uai > after})
    found = await standing(connection, by, uais)
    mine = [school_key(uai) for uai in uais if uai in found and found[uai].belongs()][:limit]
    loaded = await store.load(connection, mine)
    return [loaded[key] for key in mine]
