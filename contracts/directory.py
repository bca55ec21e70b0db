"""The directory's events: one document per school, group and person, each the whole state of its entity.

Record keys are `schools/<uai>`, `groups/<id>` and `people/<id>` on a compacted topic; a null value is a tombstone.
Every period is half-open, as in OneRoster: `starts` is its first day, `ends` the first day no longer in it; null means open.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from contracts.envelope import Contract, Event

TOPIC = "directory"
SOURCE = "/directory"
BEAT_KEY = "beat"

Uai = Annotated[str, Field(pattern=r"^[0-9]{7}[A-Z]$")]
"""A school's national identifier: seven digits and a letter, e.g. 0921234S."""

Name = Annotated[str, Field(min_length=1, max_length=255)]


class SchoolYear(Contract):
    """A school year; `year` is the calendar year in which it ends (2027 for 2026-2027)."""

    year: int
    starts: date
    ends: date


class Term(Contract):
    """A term of a school year; grades belong to one."""

    id: UUID
    title: Name
    school_year: int
    starts: date
    ends: date


class LinkKind(StrEnum):
    """What ties an adult to a pupil; only a legal guardian holds parental authority."""

    LEGAL_GUARDIAN = "legal_guardian"
    PERSON_IN_CHARGE = "person_in_charge"
    CONTACT = "contact"


class SchoolChanged(Event):
    """The whole state of a school."""

    TYPE: ClassVar[str] = "directory.school.changed.v1"

    uai: Uai
    name: Name
    zone: str
    """IANA time zone in which the school's due times are wall time."""
    school_years: list[SchoolYear]
    terms: list[Term]
    opened_to: list[LinkKind] = []
    """Kinds of link without parental authority that this school lets read all the same."""


class Subject(Contract):
    """What is taught; `code` is the school's or the nation's code for it."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    label: Name


class GroupKind(StrEnum):
    """A class is the group a pupil belongs to all year; a group cuts across classes."""

    CLASS = "class"
    GROUP = "group"


class Teaching(Contract):
    """A teacher's tie to a group: which subject, and when."""

    person: UUID
    subject: Subject | None = None
    starts: date | None = None
    ends: date | None = None


class GroupChanged(Event):
    """The whole state of a group; a group belongs to one school year."""

    TYPE: ClassVar[str] = "directory.group.changed.v1"

    id: UUID
    uai: Uai
    school_year: int
    kind: GroupKind
    name: Name
    teachers: list[Teaching]
    form_teachers: list[UUID] = []
    ended: bool = False


class RoleName(StrEnum):
    """What a person is at a school."""

    PUPIL = "pupil"
    GUARDIAN = "guardian"
    TEACHER = "teacher"
    STUDENT_AFFAIRS = "student_affairs"
    HEAD = "head"


class Role(Contract):
    """A role held at a school for a period."""

    name: RoleName
    uai: Uai
    starts: date | None = None
    ends: date | None = None


class Membership(Contract):
    """A pupil's place in a group for a period."""

    group: UUID
    uai: Uai
    starts: date | None = None
    ends: date | None = None


class GuardianLink(Contract):
    """An adult's tie to a pupil; authority belongs to the link, never to the adult."""

    person: UUID
    kind: LinkKind
    starts: date | None = None
    ends: date | None = None


class PersonChanged(Event):
    """The whole state of a person; for a pupil with groups and guardian links.

    A person leaves by `ended` first, so that rights fall at once, and by a tombstone later.
    """

    TYPE: ClassVar[str] = "directory.person.changed.v1"

    id: UUID
    given_name: Name
    family_name: Name
    email: str | None = None
    phone: str | None = None
    birth_date: date | None = None
    roles: list[Role]
    memberships: list[Membership] = []
    guardians: list[GuardianLink] = []
    ended: bool = False


class Beat(Event):
    """The directory is alive; a replica that hears nothing for a minute is not to be trusted."""

    TYPE: ClassVar[str] = "directory.beat.v1"


EVENTS: tuple[type[Event], ...] = (SchoolChanged, GroupChanged, PersonChanged, Beat)


def school_key(uai: str) -> str:
    """The record key and subject of a school's document."""
    return f"schools/{uai}"


def group_key(group: UUID | str) -> str:
    """The record key and subject of a group's document."""
    return f"groups/{group}"


def person_key(person: UUID | str) -> str:
    """The record key and subject of a person's document."""
    return f"people/{person}"
