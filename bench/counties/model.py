"""What a county is made of, in no format's terms: what one format cannot say another may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Tie(StrEnum):
    """What an adult is to a pupil."""

    PARENT = "parent"
    """Holds parental authority."""
    TUTOR = "tutor"
    """No parent, but holds parental authority by a court's decision."""
    IN_CHARGE = "in_charge"
    """Looks after the pupil day to day, without authority."""
    CONTACT = "contact"
    """May be called."""


class Household(StrEnum):
    """How a family lives; it says which ties its children have."""

    TOGETHER = "together"
    SEPARATED = "separated"
    """Both parents hold authority, in two homes."""
    SINGLE = "single"
    BLENDED = "blended"
    """One parent of all the children, another parent for each half of them."""
    TUTORED = "tutored"
    FOSTERED = "fostered"
    """A parent with authority, and a foster carer in charge."""


class Post(StrEnum):
    """What somebody is employed as at a school."""

    HEAD = "head"
    STUDENT_AFFAIRS = "student_affairs"
    TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody; `home` is where they live, e-mail and phone may be missing."""

    id: str
    given_name: str
    family_name: str
    email: str | None = None
    phone: str | None = None
    home: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A pupil with their adults and the groups they are in, their class first."""

    person: Person
    born: date
    level: str
    ties: tuple[tuple[Person, Tie], ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Children of one household at one school; one that goes over to the next school bears the same number there."""

    number: str
    household: Household
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A class (`is_class`) or a group that is taught one subject."""

    id: str
    title: str
    subject: str
    teacher: Person
    is_class: bool = False


@dataclass(slots=True)
class Staff:
    """Who works at a school; `visitors` are those who are employed at the school before this one too."""

    posts: list[tuple[Person, Post]] = field(default_factory=list)
    by_subject: dict[str, list[Person]] = field(default_factory=dict)
    visitors: list[Person] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class School:
    """A school with everybody in it."""

    number: int
    uai: str
    name: str
    staff: Staff
    groups: Sequence[Group]
    families: Sequence[Family]


@dataclass(frozen=True, slots=True)
class Plan:
    """What county to make; the same plan makes the same county. `school_year` is the year in which it ends."""

    seed: int
    school_year: int
    schools: int = 100
    pupils: int = 54_000

    def __post_init__(self) -> None:
        if not 1 <= self.schools <= 9_999:
            raise ValueError("schools: between 1 and 9999")
        if not self.schools * 100 <= self.pupils <= self.schools * 2_000:
            raise ValueError("pupils: between 100 and 2000 a school")
        if not 2000 <= self.school_year <= 2100:
            raise ValueError("school year: between 2000 and 2100")
