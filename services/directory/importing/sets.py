"""A school set as read: compact, checked record by record, by the source's own ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar, cast

Period = tuple[date | None, date | None]


class School(NamedTuple):
    """An org of type school."""

    uai: str
    name: str


class Session(NamedTuple):
    """An academic session; `year` is the year in which its school year ends."""

    kind: str
    title: str
    year: int
    starts: date
    ends: date


class Course(NamedTuple):
    """A course: where a class finds its subject when it names none."""

    title: str
    code: str
    subjects: tuple[str, ...]
    subject_codes: tuple[str, ...]


class ClassRow(NamedTuple):
    """A class (homeroom) or group (scheduled)."""

    title: str
    homeroom: bool
    course: str
    uai: str
    year: int
    subjects: tuple[str, ...]
    subject_codes: tuple[str, ...]


class User(NamedTuple):
    """A user, under the name they go by."""

    given_name: str
    family_name: str
    email: str | None
    phone: str | None
    agents: tuple[str, ...]


class Held(NamedTuple):
    """A role at a school of the set; `uai` is empty for one held elsewhere (a district, a school not in the set)."""

    role: str
    uai: str
    starts: date | None
    ends: date | None


class Enrolled(NamedTuple):
    """A pupil in a class."""

    class_id: str
    starts: date | None
    ends: date | None


class Taught(NamedTuple):
    """A teacher of a class; `primary` makes the form teacher of a homeroom."""

    user: str
    primary: bool
    starts: date | None
    ends: date | None


Shared = TypeVar("Shared", Held, Enrolled, tuple[Held, ...])


@dataclass(slots=True)
class SchoolSet:
    """Everything a set says, each record under its sourcedId (roles, enrolments and links under whom they concern)."""

    source: str
    schools: dict[str, School] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)
    classes: dict[str, ClassRow] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    birth_dates: dict[str, date] = field(default_factory=dict)
    roles: dict[str, tuple[Held, ...]] = field(default_factory=dict)
    enrolled: dict[str, list[Enrolled]] = field(default_factory=dict)
    taught: dict[str, list[Taught]] = field(default_factory=dict)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    """pupil -> adult -> the adult's role among parent, guardian and relative."""
    unread: set[str] = field(default_factory=set)
    """Users whose own record was rejected: they are in the set, so nothing of theirs ends."""
    partial: set[str] = field(default_factory=set)
    """Users of whom a role, enrolment or link was rejected: what is known adds, what is missing ends nothing."""
    unread_classes: set[str] = field(default_factory=set)
    """Classes whose record was rejected."""
    partial_classes: set[str] = field(default_factory=set)
    """Classes one of whose teachers was rejected."""
    rejected: dict[str, set[str]] = field(default_factory=dict)
    """file -> ids of its rejected rows."""
    partial_calendar: bool = False
    """Whether a session was rejected."""
    _shared: dict[tuple[object, ...], tuple[object, ...]] = field(default_factory=dict)

    def shared(self, value: Shared) -> Shared:
        """One object for equal values: a county's half a million enrolments are a few thousand different ones."""
        return cast("Shared", self._shared.setdefault(value, value))

    def is_a(self, user: str, role: str) -> bool:
        """Whether a user has this role anywhere."""
        for held in self.roles.get(user, ()):  # noqa: SIM110 - asked of every enrolment: `any` would cost twice as much
            if held.role == role:
                return True
        return False

    @property
    def uais(self) -> frozenset[str]:
        """The schools the set holds: nothing of any other school is touched."""
        return frozenset(school.uai for school in self.schools.values())
