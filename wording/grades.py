"""The words of a grade, French first and English beside it: for a page, a stream, a message. Pure."""

from __future__ import annotations

from decimal import Decimal

from contracts.feed import Text
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


def grade_title(assessment: AssessmentRef, given: Mark) -> Text:
    """The title of a grade's item: what and in which subject."""
    subject = assessment.subject.label
    return Text(
        fr=f"{subject}{_NARROW}: {mark(given, assessment.out_of, 'fr')}",
        en=f"{subject}: {mark(given, assessment.out_of, 'en')}",
    )


def grade_summary(assessment: AssessmentRef, given: Mark, replaced: Mark | None) -> Text:
    """The second line: the assessment, its coefficient, what the mark was before, what the teacher says."""
    return Text(fr=_summary(assessment, given, replaced, "fr"), en=_summary(assessment, given, replaced, "en"))


def _summary(assessment: AssessmentRef, given: Mark, replaced: Mark | None, language: str) -> str:
    french = language == "fr"
    parts = [assessment.title]
    if assessment.coefficient != 1:
        parts.append(f"{'coefficient' if french else 'weight'} {number(assessment.coefficient, language)}")
    if assessment.bonus:
        parts.append("bonus")
    if assessment.optional:
        parts.append("facultatif" if french else "optional")
    if replaced is not None and replaced != given:
        before = mark(replaced, assessment.out_of, language)
        parts.append(f"corrigé, avant{_NARROW}: {before}" if french else f"corrected, was {before}")
    line = " · ".join(parts)
    if given.comment:
        line += f"\n«{_NARROW}{given.comment}{_NARROW}»" if french else f"\n“{given.comment}”"
    return line
