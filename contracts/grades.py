"""The events of grades: each leaves once it is visible to its audience, pupils and guardians apart.

The record key is `pupils/<id>`: what concerns one pupil arrives in order.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from contracts.directory import Name, Subject, Uai
from contracts.envelope import Audience, Contract, Event

TOPIC = "grades"
SOURCE = "/grades"

Score = Annotated[Decimal, Field(ge=0, le=1000, max_digits=7, decimal_places=3, allow_inf_nan=False)]
"""Points, exact; JSON carries it as a string so that no reader rounds it."""


class GradeCode(StrEnum):
    """What stands instead of a score; only the two zeros count in an average, as 0."""

    ABSENT = "absent"
    ABSENT_ZERO = "absent_zero"
    EXEMPTED = "exempted"
    NOT_GRADED = "not_graded"
    NOT_HANDED_IN = "not_handed_in"
    NOT_HANDED_IN_ZERO = "not_handed_in_zero"
    UNFIT = "unfit"


class Mark(Contract):
    """What a pupil got: a score out of the assessment's `out_of`, or a code; never both."""

    score: Score | None = None
    code: GradeCode | None = None
    comment: Annotated[str, Field(max_length=2000)] | None = None

    @model_validator(mode="after")
    def _one_of_score_and_code(self) -> Mark:
        if (self.score is None) == (self.code is None):
            raise ValueError("a mark has either a score or a code")
        return self


class AssessmentRef(Contract):
    """What was marked, complete enough to be shown without asking back."""

    id: UUID
    title: Name
    subject: Subject
    group: UUID
    school_year: int
    term: UUID
    held_on: date
    out_of: Score
    coefficient: Score
    optional: bool = False
    """Counts only if it raises the average."""
    bonus: bool = False
    """Only points above the half of `out_of` count, and add."""


class _GradeFact(Event):
    """What every event on a grade says: which, whose, where, for whom."""

    grade: UUID
    """Stable identity of the grade: one pupil in one assessment."""
    pupil: UUID
    uai: Uai
    audience: Audience
    assessment: AssessmentRef
    at: AwareDatetime
    """When this became true for the audience."""


class GradePublished(_GradeFact):
    """A grade became visible to its audience for the first time (or again after a withdrawal)."""

    TYPE: ClassVar[str] = "grades.grade.published.v1"

    mark: Mark


class GradeCorrected(_GradeFact):
    """A grade the audience had already seen is another now; it replaces what stood there."""

    TYPE: ClassVar[str] = "grades.grade.corrected.v1"

    old: Mark
    new: Mark
    supersedes: UUID
    """The event that told the audience the old mark."""
    first_published_at: AwareDatetime


class GradeWithdrawn(_GradeFact):
    """A grade the audience had seen no longer stands."""

    TYPE: ClassVar[str] = "grades.grade.withdrawn.v1"

    withdraws: UUID
    """The event that told the audience the mark withdrawn."""


EVENTS: tuple[type[Event], ...] = (GradePublished, GradeCorrected, GradeWithdrawn)


def pupil_key(pupil: UUID | str) -> str:
    """The record key and subject of events on a pupil."""
    return f"pupils/{pupil}"
