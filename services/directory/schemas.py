"""The bodies the directory's API takes: strict, every refused value named with its field and rule."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)

from chassis.http import CleanText
from contracts.directory import GroupKind, LinkKind, RoleName, Subject

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def _iso_day(value: object) -> object:
    # Pydantic would take a number as seconds since 1970.
    if value is not None and not (isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value))):
        raise ValueError("a date is written YYYY-MM-DD")
    return value


def _sensible(day: date) -> date:
    if not 1900 <= day.year <= 2200:
        raise ValueError("the year is not between 1900 and 2200")
    return day


def _address(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("not an e-mail address")
    return value


Uai = Annotated[str, Field(pattern=r"^[0-9]{7}[A-Z]$")]
Day = Annotated[date, BeforeValidator(_iso_day), AfterValidator(_sensible)]
Text = Annotated[CleanText, Field(min_length=1, max_length=255)]
Email = Annotated[CleanText, Field(max_length=255), AfterValidator(_address)]
Phone = Annotated[CleanText, Field(min_length=3, max_length=40, pattern=r"^[0-9+(). /-]+$")]
Year = Annotated[StrictInt, Field(ge=1900, le=2200)]


class Body(BaseModel):
    """Base of every body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Period(Body):
    """A half-open period: `ends` is the first day no longer in it; absent means open."""

    starts: Day | None = None
    ends: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        if self.starts and self.ends and self.ends < self.starts:
            raise ValueError("ends comes before starts")
        return self


class YearIn(Body):
    """A school year, named by the year in which it ends."""

    year: Year
    starts: Day
    ends: Day

    @model_validator(mode="after")
    def _in_order(self) -> YearIn:
        if self.ends <= self.starts:
            raise ValueError("ends does not come after starts")
        return self


class TermIn(Body):
    """A term; without an `id` it is a new one."""

    id: UUID | None = None
    title: Text
    school_year: Year
    starts: Day
    ends: Day

    @model_validator(mode="after")
    def _in_order(self) -> TermIn:
        if self.ends <= self.starts:
            raise ValueError("ends does not come after starts")
        return self


Opened = Annotated[list[LinkKind], Field(max_length=2)]
Years = Annotated[list[YearIn], Field(max_length=50)]
Terms = Annotated[list[TermIn], Field(max_length=200)]


class SchoolIn(Body):
    """A new school."""

    uai: Uai
    name: Text
    zone: Text = "Europe/Paris"
    school_years: Years = []
    terms: Terms = []
    opened_to: Opened = []


class SchoolChange(Body):
    """What may change of a school; what is left out stays."""

    name: Text | None = None
    school_years: Years | None = None
    terms: Terms | None = None
    opened_to: Opened | None = None
    zone: Text | None = None


class GroupIn(Body):
    """A new group."""

    uai: Uai
    school_year: Year
    kind: GroupKind
    name: Text


class GroupChange(Body):
    """What may change of a group; what is left out stays."""

    name: Text | None = None
    form_teachers: Annotated[list[UUID], Field(max_length=10)] | None = None
    ended: StrictBool | None = None


class SubjectIn(Body):
    """What is taught."""

    code: Annotated[CleanText, Field(min_length=1, max_length=64)]
    label: Text

    def subject(self) -> Subject:
        """As it is published."""
        return Subject(code=self.code, label=self.label)


class TeachingIn(Period):
    """A teacher's tie to a group."""

    subject: SubjectIn | None = None


class RoleIn(Period):
    """A first role of a new person."""

    name: RoleName
    uai: Uai


class PersonIn(Body):
    """A new person with at least one role."""

    given_name: Text
    family_name: Text
    email: Email | None = None
    phone: Phone | None = None
    birth_date: Day | None = None
    roles: Annotated[list[RoleIn], Field(min_length=1, max_length=20)]


class PersonChange(Body):
    """What may change of a person; what is left out stays, null empties."""

    given_name: Text | None = None
    family_name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None
    birth_date: Day | None = None


class GuardianIn(Period):
    """What ties an adult to a pupil."""

    kind: LinkKind
