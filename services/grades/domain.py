"""The rules of grades: what a mark may be, who may write it, and what each audience is to be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid5

_GRADES = UUID("0b8c0c52-95a4-5f0a-8c0e-3a6a0e5f9f5d")
MOST_MARKS = 200
"""Marks one request may carry; the largest groups have some sixty pupils."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A score or a code, and what the teacher says to it."""

    score: Decimal | None = None
    code: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that an input breaks: in which field, which rule, in words."""

    field: str
    rule: str
    message: str


def grade_id(assessment: UUID, pupil: UUID) -> UUID:
    """The stable identity of a grade: one pupil in one assessment."""
    return uuid5(_GRADES, f"{assessment}/{pupil}")


def check_marks(pupils: Sequence[UUID], marks: Sequence[Mark], members: Set[UUID], out_of: Decimal) -> list[Broken]:
    """What is wrong with a class's marks; every bad one is named."""
    seen: set[UUID] = set()
    broken: list[Broken] = []
    for index, (pupil, mark) in enumerate(zip(pupils, marks, strict=True)):
        if pupil in seen:
            broken.append(Broken(f"marks.{index}.pupil", "repeated", "This pupil is named twice"))
        seen.add(pupil)
        if pupil not in members:
            broken.append(Broken(f"marks.{index}.pupil", "not-in-group", "This pupil is not in the group"))
        if mark.score is not None and mark.score > out_of:
            broken.append(Broken(f"marks.{index}.score", "at-most-out-of", f"The score is more than {out_of}"))
    return broken


def check_day(held_on: date, starts: date, ends: date) -> list[Broken]:
    """Whether an assessment is held within its term (half-open)."""
    if starts <= held_on < ends:
        return []
    return [Broken("held_on", "within-term", f"The term is from {starts} until before {ends}")]


class Told(StrEnum):
    """What an audience is to be told of a grade."""

    PUBLISHED = "published"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What an audience has been told of a grade: which mark, of which version of the assessment, by which event."""

    mark: Mark
    assessment_version: int
    event: UUID
    first_published_at: datetime


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whether an assessment's marks are shown: published, not withdrawn, and due for which audiences."""

    published: bool
    withdrawn: bool
    due: frozenset[str]
    version: int

    def shows(self, audience: str) -> bool:
        """Whether this audience sees the marks at this moment."""
        return self.published and not self.withdrawn and audience in self.due


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to tell one audience of one pupil's grade; `old` is what it was told before."""

    told: Told
    pupil: UUID
    audience: str
    old: Disclosure | None
    mark: Mark | None


def to_tell(
    visibility: Visibility,
    marks: Mapping[UUID, Mark | None],
    disclosed: Mapping[tuple[UUID, str], Disclosure],
    audiences: Sequence[str],
) -> Iterator[Change]:
    """What brings each audience from what it was told to what it may see now; nothing where that is the same.

    The same function serves a write, a publication, a withdrawal and a due time that is reached: so a correction made
    between two due times is a correction to one audience and a plain publication to the other.
    """
    for pupil, mark in marks.items():
        for audience in audiences:
            shown = mark if visibility.shows(audience) else None
            before = disclosed.get((pupil, audience))
            told = _told(before, shown, visibility.version)
            if told is not None:
                yield Change(told, pupil, audience, before, shown)


def _told(before: Disclosure | None, shown: Mark | None, version: int) -> Told | None:
    if before is None:
        return None if shown is None else Told.PUBLISHED
    if shown is None:
        return Told.WITHDRAWN
    return None if (before.mark, before.assessment_version) == (shown, version) else Told.CORRECTED
