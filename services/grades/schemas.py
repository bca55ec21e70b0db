"""The bodies of the grades API: what is taken and what is answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from asyncpg import Record
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from chassis.http import CleanText
from contracts.grades import GradeCode
from services.grades.averages import ClassFigures, Reached, TermAverages
from services.grades.domain import MOST_MARKS, Mark
from services.grades.store import AUDIENCES, Assessment

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
Points = Annotated[Decimal, Field(ge=0, le=1000, max_digits=7, decimal_places=3, allow_inf_nan=False)]
"""Points, exact; as a JSON number or, so that nothing rounds it on the way, a string."""
Title = Annotated[CleanText, Field(min_length=1, max_length=200)]
Comment = Annotated[CleanText, Field(max_length=2000)]
Reason = Annotated[CleanText, Field(max_length=500)]


def _written(value: object) -> object:
    # Pydantic would take a number, or digits in a string, as seconds since 1970.
    if value is not None and not isinstance(value, date) and not (isinstance(value, str) and _DAY.match(value)):
        raise ValueError("a day is written YYYY-MM-DD, a time YYYY-MM-DDThh:mm:ss with its offset")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
Day = Annotated[date, BeforeValidator(_written)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Due(_Body):
    """When each audience sees the marks (RFC 3339 with offset); without one, at publication."""

    pupils: Moment | None = None
    guardians: Moment | None = None


class AssessmentIn(_Body):
    """A new assessment."""

    group: UUID
    subject: Annotated[CleanText, Field(min_length=1, max_length=64)] | None = None
    """Code of a subject the caller teaches to the group; may be left out where there is only one."""
    title: Title
    held_on: Day
    term: UUID | None = None
    """Term of the group's school year; found by `held_on` where left out."""
    out_of: Annotated[Points, Field(gt=0)] = Decimal(20)
    coefficient: Points = Decimal(1)
    optional: StrictBool = False
    bonus: StrictBool = False
    due: Due = Due()

    def values(self) -> dict[str, Any]:
        """The columns by name."""
        return _columns(self.model_dump(exclude={"due"}) | {"due": self.due})


class AssessmentChange(_Body):
    """What may change of an assessment; what is left out stays."""

    title: Title | None = None
    held_on: Day | None = None
    term: UUID | None = None
    out_of: Annotated[Points, Field(gt=0)] | None = None
    coefficient: Points | None = None
    optional: StrictBool | None = None
    bonus: StrictBool | None = None
    due: Due | None = None

    def values(self) -> dict[str, Any]:
        """The columns that change, by name."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return _columns({name: value for name, value in given.items() if value is not None})


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    due = values.pop("due", None)
    if due is not None:
        values |= {f"{audience}_due": getattr(due, audience) for audience in AUDIENCES}
    return values


class MarkIn(_Body):
    """One pupil's mark: a score or a code, never both."""

    pupil: UUID
    score: Points | None = None
    code: GradeCode | None = None
    comment: Comment | None = None

    @model_validator(mode="after")
    def _one(self) -> MarkIn:
        if (self.score is None) == (self.code is None):
            raise ValueError("give either a score or a code")
        return self

    def mark(self) -> Mark:
        """The mark as a value of the domain."""
        return Mark(self.score, self.code.value if self.code else None, self.comment or None)


class MarksIn(_Body):
    """A class's marks; all are taken or none."""

    marks: Annotated[list[MarkIn], Field(min_length=1, max_length=MOST_MARKS)]
    reason: Reason | None = None
    """Why, where marks are corrected; kept in the history."""


class ReasonIn(_Body):
    """Why something is withdrawn; kept in the history."""

    reason: Reason | None = None


def assessment_out(found: Assessment, marks: dict[UUID, Mark] | None = None) -> dict[str, Any]:
    """An assessment as answered; with marks where they were read."""
    zone = ZoneInfo(found.zone)
    due = {audience: getattr(found, f"{audience}_due") for audience in AUDIENCES}
    answer: dict[str, Any] = {
        "id": str(found.id),
        "uai": found.uai,
        "school_year": found.school_year,
        "group": str(found.group),
        "subject": {"code": found.subject_code, "label": found.subject_label},
        "title": found.title,
        "held_on": found.held_on.isoformat(),
        "term": str(found.term),
        "out_of": points(found.out_of),
        "coefficient": points(found.coefficient),
        "optional": found.optional,
        "bonus": found.bonus,
        "due": {name: wall.replace(tzinfo=zone).isoformat() if wall else None for name, wall in due.items()},
        "published_at": found.published_at.isoformat() if found.published_at else None,
        "withdrawn_at": found.withdrawn_at.isoformat() if found.withdrawn_at else None,
        "visible_to": [audience for audience in AUDIENCES if found.visibility.shows(audience)],
        "version": found.version,
    }
    if marks is not None:
        answer["marks"] = [{"pupil": str(pupil)} | mark_out(mark) for pupil, mark in marks.items()]
    return answer


def mark_out(mark: Mark) -> dict[str, Any]:
    """A mark as answered; the score as a string, exact."""
    score = None if mark.score is None else points(mark.score)
    return {"score": score, "code": mark.code, "comment": mark.comment}


def grade_out(row: Record) -> dict[str, Any]:
    """A grade as a reader sees it."""
    return {
        "assessment": str(row["id"]),
        "title": row["title"],
        "subject": {"code": row["subject_code"], "label": row["subject_label"]},
        "group": str(row["group_id"]),
        "school_year": row["school_year"],
        "held_on": row["held_on"].isoformat(),
        "term": str(row["term"]),
        "out_of": points(row["out_of"]),
        "coefficient": points(row["coefficient"]),
        "optional": row["optional"],
        "bonus": row["bonus"],
        "published_at": row["first_published_at"].isoformat(),
        "updated_at": row["updated_at"].isoformat(),
    } | mark_out(Mark(row["score"], row["code"], row["comment"]))


def averages_out(terms: Sequence[TermAverages]) -> list[dict[str, Any]]:
    """A pupil's averages as answered; each a string with two places, null where there is none."""
    return [
        {
            "term": str(term.term),
            "general": _text(term.general),
            "class": _figures_out(term.figures),
            "evolution": _evolution_out(term.evolution),
            "subjects": [
                {
                    "subject": {"code": subject.code, "label": subject.label},
                    "average": _text(subject.average),
                    "class": _figures_out(subject.figures),
                    "grades": subject.grades,
                    "evolution": _evolution_out(subject.evolution),
                }
                for subject in term.subjects
            ],
        }
        for term in terms
    ]


def _figures_out(figures: ClassFigures | None) -> dict[str, str] | None:
    if figures is None:
        return None
    return {"minimum": str(figures.minimum), "mean": str(figures.mean), "maximum": str(figures.maximum)}


def _evolution_out(evolution: Sequence[Reached]) -> list[dict[str, str]]:
    return [{"on": reached.on.isoformat(), "average": str(reached.average)} for reached in evolution]


def _text(average: Decimal | None) -> str | None:
    return None if average is None else str(average)


def points(value: Decimal) -> str:
    """A decimal in plain digits, without zeros that say nothing: 14.50 is 14.5, 20 stays 20."""
    return format(value.normalize(), "f")
