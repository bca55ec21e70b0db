"""What the public API answers, as far as the portal reads it; a field that is not known here is passed over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.feed import Category


class Term(BaseModel):
    """A term of a school year; `ends` is the first day after it."""

    id: UUID
    title: str
    school_year: int
    starts: date
    ends: date


class School(BaseModel):
    """A school and the terms of all its years."""

    terms: list[Term] = []


class Subject(BaseModel):
    """What is taught."""

    code: str
    label: str


class Grade(BaseModel):
    """A grade that the visitor may see: a score in plain digits, or a code."""

    assessment: UUID
    title: str
    subject: Subject
    held_on: date
    out_of: str
    coefficient: str
    optional: bool
    bonus: bool
    published_at: datetime
    updated_at: datetime
    score: str | None
    code: str | None
    comment: str | None


class GradesPage(BaseModel):
    """A page of grades, and the `before` of the next."""

    grades: list[Grade]
    next: UUID | None = None


class Reached(BaseModel):
    """An average, and the day on which it was reached."""

    on: date
    average: Decimal


class ClassFigures(BaseModel):
    """The lowest, mean and highest average of a class."""

    minimum: str
    mean: str
    maximum: str


class SubjectAverage(BaseModel):
    """A pupil's average in a subject, and the class's figures where they may be shown."""

    subject: Subject
    average: str | None
    figures: Annotated[ClassFigures | None, Field(validation_alias="class")]
    evolution: Sequence[Reached] = ()


class TermAverages(BaseModel):
    """A pupil's averages of a term, and the class's general ones where they may be shown."""

    term: UUID
    general: str | None
    figures: Annotated[ClassFigures | None, Field(validation_alias="class")] = None
    evolution: Sequence[Reached] = ()
    subjects: list[SubjectAverage]


class Averages(BaseModel):
    """A pupil's averages of a school year, and the years in which there are marks."""

    school_years: list[int] = []
    terms: list[TermAverages]


class Email(BaseModel):
    """Whether messages go by e-mail, and where to, masked."""

    enabled: bool
    address: str | None = None


class Preferences(BaseModel):
    """What a person wants to be told, how, and in which language."""

    language: Literal["fr", "en"]
    email: Email
    categories: dict[Category, bool]


class Message(BaseModel):
    """A message that was or is to be sent to the visitor."""

    fact: str
    pupil: UUID | None = None
    category: str
    channel: str
    state: str
    says: str | None = None
    queued_at: datetime
    due_at: datetime | None = None
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    attempts: int = 0


class MessagesPage(BaseModel):
    """The latest messages, newest first."""

    messages: list[Message]
