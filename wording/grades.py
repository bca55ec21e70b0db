"""The words of a grade, French first and English beside it: for a page, a stream, a message. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from contracts.grades import AssessmentRef, GradeCode, Mark

_NARROW = "\u202f"

_CODES: dict[GradeCode, tuple[str, str]] = {
    GradeCode.ABSENT: ("Absent", "Absent"),
    GradeCode.ABSENT_ZERO: ("Absent, compté 0", "Absent, counts as 0"),
    GradeCode.EXEMPTED: ("Dispensé", "Exempted"),
    GradeCode.NOT_GRADED: ("Non noté", "Not graded"),
    GradeCode.NOT_HANDED_IN: ("Non rendu", "Not handed in"),
    GradeCode.NOT_HANDED_IN_ZERO: ("Non rendu, compté 0", "Not handed in, counts as 0"),
    GradeCode.UNFIT: ("Inapte", "Unfit"),
}


class Words(NamedTuple):
    """The same in French and in English."""

    fr: str
    en: str


def digits(value: Decimal) -> str:
    """A number in plain digits, without zeros that say nothing: 14.50 is 14.5."""
    return format(value.normalize(), "f")


def number(value: Decimal, language: str) -> str:
    """A number as read in a language: 14,5 in French, 14.5 in English."""
    plain = digits(value)
    return plain.replace(".", ",") if language == "fr" else plain


def mark(given: Mark, out_of: Decimal, language: str) -> str:
    """A mark as read: `14,5/20`, or what its code says."""
    if given.code is not None:
        return _CODES[given.code][0 if language == "fr" else 1]
    assert given.score is not None
    return f"{number(given.score, language)}/{number(out_of, language)}"


def grade_title(subject: str, given: Mark, out_of: Decimal) -> Words:
    """The title of a grade's item: what and in which subject."""
    return Words(f"{subject}{_NARROW}: {mark(given, out_of, 'fr')}", f"{subject}: {mark(given, out_of, 'en')}")


def grade_summary(assessment: AssessmentRef, given: Mark, replaced: Mark | None) -> Words:
    """The second line: the assessment, its coefficient, what the mark was before, what the teacher says."""
    of = assessment
    french, english = _headings(of.title, of.coefficient, bonus=of.bonus, optional=of.optional)
    if replaced is not None and replaced != given:
        french += f" · corrigé, avant{_NARROW}: {mark(replaced, of.out_of, 'fr')}"
        english += f" · corrected, was {mark(replaced, of.out_of, 'en')}"
    if given.comment:
        french += f"\n«{_NARROW}{given.comment}{_NARROW}»"
        english += f"\n“{given.comment}”"
    return Words(french, english)


# Remembered: the items of all a class's pupils say the same of the assessment.
@lru_cache(maxsize=10_000)
def _headings(title: str, coefficient: Decimal, *, bonus: bool, optional: bool) -> tuple[str, str]:
    """What the summaries of an assessment's grades begin with, in French and in English."""
    weighs = coefficient != 1
    french = [f"coefficient {number(coefficient, 'fr')}"] * weighs + ["bonus"] * bonus + ["facultatif"] * optional
    english = [f"weight {number(coefficient, 'en')}"] * weighs + ["bonus"] * bonus + ["optional"] * optional
    return " · ".join([title, *french]), " · ".join([title, *english])
