"""What the grades service does: one function per intention; each takes the transaction and never commits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis import audit
from chassis.audit import Entry, Refused
from chassis.database import Connection
from chassis.identity import Caller
from chassis.outbox import Outgoing, append, lock_keys, lock_numbers
from chassis.problems import FieldError, Problem, invalid, not_found
from chassis.replays import Place, Visible
from chassis.timers import Timer, cancel_timer, set_timers
from contracts.directory import RoleName, Term, group_key
from contracts.envelope import new_id
from contracts.grades import pupil_key
from roster import store as roster
from roster.facts import GroupFacts, PersonFacts, SchoolFacts
from roster.oversight import school_of_pupil
from roster.scopes import DEFAULT_ZONE
from services.grades import domain, store
from services.grades.averages import TermAverages, by_term
from services.grades.domain import Broken, Mark
from services.grades.events import event_again, events_of
from services.grades.store import AUDIENCES, Assessment

DUE = "grades.due"
"""The timer that makes an assessment visible to an audience; its subject is `<assessment>/<audience>`."""

_LEADERS = (RoleName.HEAD, RoleName.STUDENT_AFFAIRS)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the roster says around a group: who calls, the group, its school, the day it is there."""

    person: PersonFacts | None
    group: GroupFacts
    school: SchoolFacts
    today: date
    members: frozenset[UUID]
    """The group's pupils on the day asked for."""
    position: int
    """The place in the directory at which all this was so."""

    def teaches(self, subject: str | None = None) -> bool:
        """Whether the caller teaches the group today, and this subject where one is named."""
        return any(subject is None or t.subject is None or t.subject.code == subject for t in self.teachings())

    def teachings(self) -> list[Any]:
        """How the caller teaches the group today."""
        return [] if self.person is None else list(self.group.teachings(self.person.id, self.today))

    def leads(self) -> bool:
        """Whether the caller is head or of the student affairs office of the school."""
        person = self.person
        return person is not None and any(person.has_role(role, self.group.uai, self.today) for role in _LEADERS)


async def setting(connection: Connection, caller: Caller, group: UUID, day: date | None = None) -> Setting | None:
    """What the roster says around a group, with its pupils on a day; None for a group it does not hold."""
    found = await roster.around(connection, group, caller.person, day)
    return None if found is None else _setting(found)


def _setting(found: roster.Around) -> Setting:
    today = datetime.now(ZoneInfo(found.school.zone)).date()
    return Setting(found.person, found.group, found.school, today, found.members, found.position)


# Assessments


async def create_assessment(connection: Connection, caller: Caller, values: dict[str, Any]) -> Assessment:
    """Create an assessment for a group the caller teaches; raises `Refused` or a 422 problem."""
    around = await setting(connection, caller, values["group"])
    if around is None or not around.teaches():
        raise Refused(caller, "assessment.create", group_key(values["group"]), around.group.uai if around else None)
    values |= _subject(around, values.pop("subject"))
    values |= {"id": UUID(new_id()), "uai": around.group.uai, "school_year": around.group.school_year}
    values |= _checked(values, around.school, around.group.school_year)
    assert caller.person is not None
    await store.insert_assessment(connection, values, caller.person)
    entry = Entry(caller.subject, "assessment.create", f"assessments/{values['id']}", around.group.uai)
    await audit.record(connection, entry)
    return await _get(connection, values["id"])


def _subject(around: Setting, code: str | None) -> dict[str, str]:
    subjects = {t.subject.code: t.subject.label for t in around.teachings() if t.subject is not None}
    if code is None and len(subjects) == 1:
        code = next(iter(subjects))
    if code not in subjects:
        taught = ", ".join(sorted(subjects))
        raise _broken([Broken("subject", "taught", f"Name a subject you teach to this group: {taught}")])
    return {"subject_code": code, "subject_label": subjects[code]}


def _checked(values: Mapping[str, Any], school: SchoolFacts, school_year: int) -> dict[str, Any]:
    """The term (found by the day where none is named) and the due times as wall time of the school's zone."""
    terms = [term for term in school.terms if term.school_year == school_year]
    term = _term(terms, values["term"], values["held_on"])
    broken = domain.check_day(values["held_on"], term.starts, term.ends)
    zone = ZoneInfo(school.zone)
    walls = {f"{audience}_due": _wall(values[f"{audience}_due"], zone) for audience in AUDIENCES}
    if broken:
        raise _broken(broken)
    return {"term": term.id, "zone": school.zone, **walls}


def _term(terms: Sequence[Term], named: UUID | None, day: date) -> Term:
    for term in terms:
        if term.id == named or (named is None and term.starts <= day < term.ends):
            return term
    if named is None:
        raise _broken([Broken("held_on", "within-term", "This day is in no term of the group's school year")])
    raise _broken([Broken("term", "of-the-year", "This is no term of the group's school year")])


def _wall(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if moment is None else moment.astimezone(zone).replace(tzinfo=None)


def _broken(rules: Sequence[Broken]) -> Problem:
    return invalid(FieldError(rule.field, rule.rule, rule.message) for rule in rules)


async def _get(connection: Connection, id: UUID) -> Assessment:
    found = await store.assessment(connection, id)
    if found is None:
        raise not_found()
    return found


async def readable(connection: Connection, caller: Caller, id: UUID) -> Assessment:
    """An assessment for who teaches its group or leads its school; raises `Refused`."""
    found = await store.assessment(connection, id)
    if found is None:
        # Written down as another's is: who tries ids is to be seen.
        raise Refused(caller, "assessment.read", f"assessments/{id}")
    around = await setting(connection, caller, found.group)
    if around is None or not (around.teaches() or around.leads()):
        raise Refused(caller, "assessment.read", f"assessments/{id}", found.uai)
    return found


async def writable(connection: Connection, caller: Caller, id: UUID, action: str) -> tuple[Assessment, Setting]:
    """An assessment, locked, for who teaches its subject to its group; raises `Refused`."""
    found = await store.assessment(connection, id, lock=True)
    if found is None:
        raise Refused(caller, action, f"assessments/{id}")
    around = await setting(connection, caller, found.group, found.held_on)
    return found, _teaching(caller, found, around, action)


def _teaching(caller: Caller, found: Assessment, around: Setting | None, action: str) -> Setting:
    if around is None or not around.teaches(found.subject_code):
        raise Refused(caller, action, f"assessments/{found.id}", found.uai)
    return around


async def change_assessment(
    connection: Connection, caller: Caller, id: UUID, version: int, changes: Mapping[str, Any]
) -> Assessment:
    """Change an assessment as read at `version`; what audiences were told is corrected where it differs."""
    found, around = await writable(connection, caller, id, "assessment.change")
    if found.version != version:
        raise Problem(412, "changed-meanwhile", "The assessment was changed meanwhile; read it again")
    values = {name: getattr(found, name) for name in _CHANGEABLE} | dict(changes)
    _refuse_moving_what_is_visible(found, changes)
    zone = ZoneInfo(found.zone)
    for due in ("pupils_due", "guardians_due"):
        if due not in changes and values[due] is not None:
            values[due] = values[due].replace(tzinfo=zone)
    values |= _checked(values, around.school, found.school_year)
    await _refuse_too_small(connection, id, values["out_of"])
    await store.update_assessment(connection, id, values)
    await audit.record(connection, Entry(caller.subject, "assessment.change", f"assessments/{id}", found.uai))
    return await _tell(connection, id, timers=True)


_CHANGEABLE = ("title", "held_on", "term", "out_of", "coefficient", "optional", "bonus", "pupils_due", "guardians_due")


def _refuse_moving_what_is_visible(found: Assessment, changes: Mapping[str, Any]) -> None:
    for audience in AUDIENCES:
        if f"{audience}_due" in changes and found.visibility.shows(audience):
            raise _broken([Broken(f"due.{audience}", "already-visible", "Withdraw the assessment to hide it again")])


async def _refuse_too_small(connection: Connection, id: UUID, out_of: Any) -> None:
    scores = [mark.score for mark in (await store.marks(connection, id)).values() if mark.score is not None]
    if scores and max(scores) > out_of:
        raise _broken([Broken("out_of", "at-least-scores", f"A mark is {max(scores)}")])


# Marks


def marks_locks(id: UUID, pupils: Iterable[UUID]) -> str:
    """The statements that a transaction of `put_marks` begins with.

    They stand before what is read: so it is read as who held the locks before left it.
    """
    return store.marks_locks(id, lock_numbers(map(pupil_key, pupils)))


async def put_marks(
    connection: Connection,
    caller: Caller,
    id: UUID,
    pupils: Sequence[UUID],
    marks: Sequence[Mark],
    reason: str | None,
) -> Assessment:
    """Set a class's marks, all or none: new ones, corrections, and nothing for what is the same.

    The transaction holds the locks of `marks_locks`.
    """
    book = await store.book(connection, id, pupils, caller.person)
    if book is None:
        raise Refused(caller, "marks.write", f"assessments/{id}")
    found = book.assessment
    around = _teaching(caller, found, _setting(book.around) if book.around else None, "marks.write")
    broken = domain.check_marks(pupils, marks, around.members, found.out_of)
    if broken:
        raise _broken(broken)
    new = {pupil: mark for pupil, mark in zip(pupils, marks, strict=True) if book.marks.get(pupil) != mark}
    if new:
        changes = list(domain.to_tell(found.visibility, new, book.disclosed, AUDIENCES))
        events = events_of(found, changes, around.position)
        entry = Entry(caller.subject, "marks.write", f"assessments/{id}", found.uai)
        await store.keep_marks(connection, found, new, reason, changes, events, entry)
    return found


async def remove_mark(connection: Connection, caller: Caller, id: UUID, pupil: UUID, reason: str | None) -> Assessment:
    """Withdraw one pupil's mark."""
    found, _ = await writable(connection, caller, id, "marks.withdraw")
    old = (await store.marks(connection, id)).get(pupil)
    if old is None:
        raise not_found()
    await store.remove_mark(connection, id, pupil, old, caller.subject, reason)
    entry = Entry(caller.subject, "marks.withdraw", f"assessments/{id}/marks/{pupil}", found.uai)
    await audit.record(connection, entry)
    await tell(connection, found, {pupil: None})
    return found


# Visibility


async def publish(connection: Connection, caller: Caller, id: UUID) -> Assessment:
    """Publish an assessment: each audience is told when it is due."""
    found, _ = await writable(connection, caller, id, "assessment.publish")
    await store.publish(connection, id)
    await audit.record(connection, Entry(caller.subject, "assessment.publish", f"assessments/{id}", found.uai))
    return await _tell(connection, id, timers=True)


async def withdraw(connection: Connection, caller: Caller, id: UUID) -> Assessment:
    """Withdraw an assessment: whoever saw a mark is told that it no longer stands."""
    found, _ = await writable(connection, caller, id, "assessment.withdraw")
    await store.withdraw(connection, id)
    await audit.record(connection, Entry(caller.subject, "assessment.withdraw", f"assessments/{id}", found.uai))
    return await _tell(connection, id, timers=True)


async def due(connection: Connection, subject: str) -> None:
    """A due time is reached: tell the audience what it may see now."""
    assessment, _, _ = subject.partition("/")
    found = await store.assessment(connection, UUID(assessment), lock=True)
    if found is not None:
        await _tell(connection, found.id, timers=False)


async def _tell(connection: Connection, id: UUID, *, timers: bool) -> Assessment:
    found = await _get(connection, id)
    if timers:
        await _set_timers(connection, found)
    await tell(connection, found, dict(await store.marks(connection, id)))
    return found


async def _set_timers(connection: Connection, found: Assessment) -> None:
    for audience in AUDIENCES:
        subject, wall = f"{found.id}/{audience}", getattr(found, f"{audience}_due")
        live = found.visibility.published and not found.visibility.withdrawn
        if live and wall is not None and audience not in found.visibility.due:
            await set_timers(connection, [Timer(DUE, subject, wall, found.zone)])
        else:
            await cancel_timer(connection, DUE, subject)


async def tell(connection: Connection, found: Assessment, marks: Mapping[UUID, Mark | None]) -> None:
    """Owe each audience what brings it from what it was told to what it may see now.

    The keys are locked before the disclosures are read and outbox ids are drawn, so a pupil's events go out in the
    order in which they were decided.
    """
    keys = {pupil: pupil_key(pupil) for pupil in marks}
    await lock_keys(connection, keys.values())
    disclosed = await store.disclosed(connection, found.id, list(marks))
    position = await roster.position(connection)
    changes = list(domain.to_tell(found.visibility, marks, disclosed, AUDIENCES))
    events = events_of(found, changes, position)
    if changes:
        await store.disclose(connection, found, changes, [UUID(event.envelope.id) for event in events])
    await append(connection, events)


# Saying again


async def _disclosed_after(connection: Connection, place: str | None, limit: int) -> list[Place]:
    found = await store.disclosed_after(connection, _disclosed(place) if place else None, limit)
    return [Place(pupil_key(pupil), f"{assessment}/{pupil}/{audience}") for assessment, pupil, audience in found]


async def _standing(connection: Connection, places: Sequence[str]) -> list[Outgoing]:
    position = await roster.position(connection)
    found = await store.standing(connection, [_disclosed(place) for place in places])
    return [event_again(one, position) for one in found]


def _disclosed(place: str) -> store.Disclosed:
    assessment, pupil, audience = place.split("/")
    return UUID(assessment), UUID(pupil), audience


VISIBLE = Visible(_disclosed_after, _standing)
"""What each audience sees of each grade, for a replay."""


# Reading


async def audience_of(connection: Connection, caller: Caller, pupil: UUID) -> str:
    """As which audience the caller sees a pupil's grades: `pupils`, `guardians` or `staff`; raises `Refused`."""
    if caller.person is not None:
        scopes = await roster.read_scopes(connection, caller.person)
        held = scopes.held(datetime.now(ZoneInfo("UTC")))
        for audience in AUDIENCES:
            if f"{audience}:pupils/{pupil}" in held:
                return audience
        led = await _school_where_led(connection, caller.person, pupil)
        if led is not None:
            await audit.record(connection, Entry(caller.subject, "grades.read", f"pupils/{pupil}", led))
            return "staff"
    raise Refused(caller, "grades.read", f"pupils/{pupil}", await school_of_pupil(connection, pupil))


@dataclass(frozen=True, slots=True)
class Averages:
    """A pupil's averages of a school year as a reader sees them; `school_years` are those in which it sees marks."""

    audience: str
    school_years: Sequence[int]
    terms: Sequence[TermAverages]


async def averages(connection: Connection, caller: Caller, pupil: UUID, school_year: int | None = None) -> Averages:
    """A pupil's averages of a school year, the latest where none is named, of what the caller sees; raises `Refused`."""
    audience = await audience_of(connection, caller, pupil)
    seen_as = None if audience == "staff" else audience
    years = await store.school_years(connection, pupil, seen_as)
    year = school_year or max(years, default=None)
    if year not in years:
        return Averages(audience, years, [])
    mates = await roster.classmates(connection, pupil, year)
    assessed = await store.of_classes(connection, pupil, seen_as, year, mates.groups)
    # A class has thousands of marks a year: tens of milliseconds in which others would wait.
    return Averages(audience, years, await asyncio.to_thread(by_term, pupil, assessed, mates.by_term))


async def _school_where_led(connection: Connection, person: UUID, pupil: UUID) -> str | None:
    """The school of the pupil that the person leads or oversees; None where there is none."""
    reader, child = await roster.person(connection, person), await roster.person(connection, pupil)
    if reader is None or child is None:
        return None
    today = datetime.now(ZoneInfo(DEFAULT_ZONE)).date()
    schools = {role.uai for role in child.roles if child.has_role(RoleName.PUPIL, role.uai, today)}
    return next((uai for uai in sorted(schools) if any(reader.has_role(role, uai, today) for role in _LEADERS)), None)
