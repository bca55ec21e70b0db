"""Directory documents for tests, and a replica made of them as the consumer would."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from chassis.consumer import Received
from chassis.database import Connection
from contracts import directory
from contracts.directory import GuardianLink, LinkKind, Membership, Role, RoleName, Subject, Teaching, Term
from contracts.envelope import Envelope, Event, to_headers
from roster import replica

UAI = "0921234S"
MATHS = Subject(code="MATHS", label="Mathématiques")
_NAMES = UUID("3f6b6f6c-0000-5000-8000-000000000000")
_sequences = itertools.count(1)


def uid(name: str) -> UUID:
    """The id of a thing by its name in a test."""
    return uuid5(_NAMES, name)


def school(**changes: Any) -> directory.SchoolChanged:
    """A school in its year 2026-2027, with one long term."""
    year = directory.SchoolYear(year=2027, starts=date(2026, 9, 1), ends=date(2027, 7, 10))
    term = Term(id=uid("term"), title="1er trimestre", school_year=2027, starts=date(2026, 9, 1), ends=date(2027, 7, 1))
    values: dict[str, Any] = {"uai": UAI, "name": "Collège", "zone": "Europe/Paris"}
    return directory.SchoolChanged(**(values | {"school_years": [year], "terms": [term]} | changes))


def group(name: str = "3A", teachers: Sequence[str] = ("teacher",)) -> directory.GroupChanged:
    """A class with its teachers of mathematics."""
    teachings = [Teaching(person=uid(teacher), subject=MATHS) for teacher in teachers]
    return directory.GroupChanged(
        id=uid(name),
        uai=UAI,
        school_year=2027,
        kind=directory.GroupKind.CLASS,
        name=name,
        teachers=teachings,
    )


def adult(name: str, *roles: RoleName) -> directory.PersonChanged:
    """A person with roles at the school."""
    return directory.PersonChanged(
        id=uid(name), given_name=name, family_name="Test", roles=[Role(name=role, uai=UAI) for role in roles]
    )


def pupil(
    name: str, guardians: Sequence[GuardianLink] = (), group: str = "3A", **changes: Any
) -> directory.PersonChanged:
    """A pupil of a class, with guardian links."""
    values: dict[str, Any] = {"id": uid(name), "given_name": name, "family_name": "Test"}
    values |= {
        "roles": [Role(name=RoleName.PUPIL, uai=UAI)],
        "memberships": [Membership(group=uid(group), uai=UAI)],
        "guardians": list(guardians),
    }
    return directory.PersonChanged(**(values | changes))


def link(name: str, kind: LinkKind = LinkKind.LEGAL_GUARDIAN, **dates: date) -> GuardianLink:
    """An adult's tie to a pupil."""
    return GuardianLink(person=uid(name), kind=kind, **dates)


def received(key: str, event: Event | None, *, source: str = "/directory", sequence: int | None = None) -> Received:
    """An event as a consumer gets it; None is a tombstone."""
    kind = event.TYPE if event else "tombstone"
    number = next(_sequences) if sequence is None else sequence
    envelope = Envelope(
        id=f"{number}", type=kind, source=source, subject=key, key=key, time=datetime.now(UTC), sequence=number
    )
    record = SimpleNamespace(offset=number, headers=to_headers(envelope))
    return Received(envelope, event.model_dump_json().encode() if event else None, record)


def key_of(event: Event) -> str:
    """The record key of a document."""
    if isinstance(event, directory.SchoolChanged):
        return directory.school_key(event.uai)
    if isinstance(event, directory.GroupChanged):
        return directory.group_key(event.id)
    assert isinstance(event, directory.PersonChanged)
    return directory.person_key(event.id)


async def fill(connection: Connection, *documents: Event) -> None:
    """Bring a replica up to these documents."""
    await replica.apply(connection, [received(key_of(document), document) for document in documents])


def small_school() -> list[Event]:
    """A school, a class, a teacher, a head, two pupils; the first with two guardians, a person in charge, a contact."""
    return [
        school(),
        group(),
        adult("teacher", RoleName.TEACHER),
        adult("other teacher", RoleName.TEACHER),
        adult("head", RoleName.HEAD),
        adult("mother", RoleName.GUARDIAN),
        pupil(
            "zoé",
            [
                link("mother"),
                link("father"),
                link("nanny", LinkKind.PERSON_IN_CHARGE),
                link("neighbour", LinkKind.CONTACT),
            ],
        ),
        pupil("ali", [link("other mother")]),
    ]
