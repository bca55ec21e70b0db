"""Classes of thirty whose marks are written: in the replica and the accounts as their services would have them, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from chassis.database import Connection
from contracts import directory
from contracts.directory import GroupKind, Membership, Role, RoleName, SchoolYear, Subject, Teaching, Term
from contracts.envelope import Event
from roster import store as roster
from roster.facts import pared
from services.gateway import usecases
from services.grades import store

PUPILS = 30
UAI = "0921234S"
_SUBJECT = Subject(code="MATHS", label="Mathématiques")
_TOKEN_SECONDS = 7200.0
_YEAR = SchoolYear(year=2027, starts=date(2026, 9, 1), ends=date(2027, 7, 10))
_TERM = Term(id=uuid4(), title="Trimestre", school_year=2027, starts=_YEAR.starts, ends=_YEAR.ends)


@dataclass(frozen=True, slots=True)
class Class:
    """A group with its pupils, its teacher, and the teacher's token."""

    group: UUID
    pupils: Sequence[UUID]
    teacher: UUID
    token: str


async def classes(grades: str, gateway: str, count: int) -> list[Class]:
    """Make classes with a teacher each; both are URLs of databases whose service has migrated them."""
    accounts = await asyncpg.connect(gateway)
    made = [await _class(accounts, number) for number in range(count)]
    await accounts.close()
    replica = await asyncpg.connect(grades)
    documents = {key: document for one in made for key, document in _documents(one).items()}
    documents[directory.school_key(UAI)] = directory.SchoolChanged(
        uai=UAI, name="Collège", zone="Europe/Paris", school_years=[_YEAR], terms=[_TERM]
    )
    async with replica.transaction():
        facts = {key: (1, pared(key, document.model_dump_json().encode())) for key, document in documents.items()}
        await roster.replace_documents(replica, facts)
        await roster.advance(replica, 1)
    await replica.close()
    return made


async def _class(connection: Connection, number: int) -> Class:
    teacher = uuid4()
    account = await usecases.add_account(connection, f"bench-{number}", "-", teacher)
    issued = await usecases.issue_token(connection, account, None, "bench", _TOKEN_SECONDS)
    return Class(uuid4(), [uuid4() for _ in range(PUPILS)], teacher, issued.secret)


def _documents(one: Class) -> dict[str, Event]:
    teaching = Teaching(person=one.teacher, subject=_SUBJECT)
    group = directory.GroupChanged(
        id=one.group, uai=UAI, school_year=2027, kind=GroupKind.CLASS, name="3A", teachers=[teaching]
    )
    found: dict[str, Event] = {
        directory.group_key(one.group): group,
        directory.person_key(one.teacher): _person(one.teacher, RoleName.TEACHER, None),
    }
    return found | {directory.person_key(pupil): _person(pupil, RoleName.PUPIL, one.group) for pupil in one.pupils}


def _person(id: UUID, role: RoleName, group: UUID | None) -> directory.PersonChanged:
    return directory.PersonChanged(
        id=id,
        given_name="Zoé",
        family_name="Test",
        roles=[Role(name=role, uai=UAI)],
        memberships=[] if group is None else [Membership(group=group, uai=UAI)],
    )


async def assessments(grades: str, made: Sequence[Class], each: int, title: str) -> list[list[UUID]]:
    """Published assessments of each class, without a mark yet."""
    ids = [[uuid4() for _ in range(each)] for _ in made]
    connection = await asyncpg.connect(grades)
    async with connection.transaction():
        for one, own in zip(made, ids, strict=True):
            for id in own:
                values = _VALUES | {"id": id, "group": one.group, "title": title}
                await store.insert_assessment(connection, values, one.teacher)
        await connection.execute("UPDATE assessments SET published_at = now() WHERE title = $1", title)
    await connection.close()
    return ids


_VALUES: dict[str, Any] = {
    "uai": UAI,
    "school_year": _YEAR.year,
    "subject_code": _SUBJECT.code,
    "subject_label": _SUBJECT.label,
    "held_on": date(2026, 11, 20),
    "term": _TERM.id,
    "out_of": Decimal(1000),
    "coefficient": Decimal(1),
    "optional": False,
    "bonus": False,
    "pupils_due": None,
    "guardians_due": None,
    "zone": "Europe/Paris",
}
