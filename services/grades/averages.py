"""Averages: what marks make on 20, by subject, over subjects and over a class. Exact until rounded once. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import lcm
from uuid import UUID

from services.grades.domain import Mark

FEWEST_PUPILS = 5
"""Pupils with an average from which on a class's figures are shown; among fewer, they would tell of one of them."""

_FULL = Fraction(20)
_ZERO_CODES = frozenset({"absent_zero", "not_handed_in_zero"})


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessment with the marks of it that the reader may see, by pupil."""

    term: UUID
    held_on: date
    subject_code: str
    subject_label: str
    out_of: Decimal
    coefficient: Decimal
    optional: bool
    bonus: bool
    marks: Mapping[UUID, Mark]
    of_pupil: bool = True
    """Whether it is of a group and subject in which the reader sees marks of the pupil; what is not counts in the general
    averages of classmates alone."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A mark that counts: its points on 20, its coefficient, and how it counts; what is both is a bonus."""

    points: Fraction
    coefficient: Fraction
    optional: bool = False
    bonus: bool = False


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The lowest, mean and highest average of a class, in a subject or over subjects."""

    minimum: Decimal
    mean: Decimal
    maximum: Decimal


@dataclass(frozen=True, slots=True)
class Reached:
    """The average of all marks up to and with those of a day."""

    on: date
    average: Decimal


@dataclass(frozen=True, slots=True)
class SubjectAverage:
    """A pupil's average in a subject (None where nothing counts), from how many grades, and the class's figures.

    `evolution` has the days on which a mark that counts was held, from the first with an average on.
    """

    code: str
    label: str
    average: Decimal | None
    figures: ClassFigures | None
    grades: int
    evolution: Sequence[Reached]


@dataclass(frozen=True, slots=True)
class TermAverages:
    """A pupil's averages of a term: over all subjects with the class's figures, and of each subject by its code."""

    term: UUID
    general: Decimal | None
    figures: ClassFigures | None
    evolution: Sequence[Reached]
    subjects: Sequence[SubjectAverage]


def by_term(
    pupil: UUID, assessed: Iterable[Assessed], classmates: Mapping[UUID, Collection[UUID]]
) -> list[TermAverages]:
    """A pupil's averages, term by term in the order in which the assessments name them.

    The class of a subject is whoever has marks in its assessments that are of the pupil's own groups. The class of the
    general average is who `classmates` names for the term: of each of them all marks count, whatever the group.
    """
    terms: dict[UUID, dict[str, list[Assessed]]] = {}
    for one in assessed:
        terms.setdefault(one.term, {}).setdefault(one.subject_code, []).append(one)
    found = (_term(pupil, term, subjects, classmates.get(term, ())) for term, subjects in terms.items())
    return [term for term in found if term.subjects]


def _term(
    pupil: UUID, term: UUID, subjects: Mapping[str, Sequence[Assessed]], classmates: Collection[UUID]
) -> TermAverages:
    exact: list[Fraction] = []
    found: list[SubjectAverage] = []
    courses: list[list[tuple[date, Fraction]]] = []
    of_class: list[Mapping[UUID, Fraction]] = []
    for code, everywhere in sorted(subjects.items()):
        assessed = [one for one in everywhere if one.of_pupil]
        averages = _class(assessed)
        of_class.append(averages if len(assessed) == len(everywhere) else _class(everywhere))
        if not assessed:
            continue
        own = averages.get(pupil)
        if own is not None:
            exact.append(own)
        courses.append(list(_course(pupil, assessed)))
        found.append(_subject(pupil, code, assessed, averages, courses[-1]))
    general = rounded(mean(exact)) if exact else None
    figures = class_figures(_generals(classmates, of_class))
    return TermAverages(term, general, figures, _shown(_general(courses)), found)


def _subject(
    pupil: UUID,
    code: str,
    assessed: Sequence[Assessed],
    averages: Mapping[UUID, Fraction],
    course: Iterable[tuple[date, Fraction]],
) -> SubjectAverage:
    own = averages.get(pupil)
    average = None if own is None else rounded(own)
    grades = sum(pupil in one.marks for one in assessed)
    figures = class_figures(averages.values())
    return SubjectAverage(code, assessed[-1].subject_label, average, figures, grades, _shown(course))


def _generals(pupils: Collection[UUID], subjects: Sequence[Mapping[UUID, Fraction]]) -> Iterator[Fraction]:
    """The general average of each of these pupils who has one."""
    for pupil in pupils:
        averages = [subject[pupil] for subject in subjects if pupil in subject]
        if averages:
            yield mean(averages)


def _shown(course: Iterable[tuple[date, Fraction]]) -> list[Reached]:
    return [Reached(on, rounded(average)) for on, average in course]


def _course(pupil: UUID, assessed: Iterable[Assessed]) -> Iterator[tuple[date, Fraction]]:
    """A pupil's average in a subject after each day on which a mark that counts was held."""
    days: dict[date, list[Weighed]] = {}
    for one in assessed:
        score = score_of(one.marks[pupil]) if pupil in one.marks else None
        if score is not None:
            points = Fraction(score) * _FULL / Fraction(one.out_of)
            days.setdefault(one.held_on, []).append(Weighed(points, Fraction(one.coefficient), one.optional, one.bonus))
    standing = Standing()
    for on, marks in sorted(days.items()):
        for mark in marks:
            standing.add(mark)
        average = standing.average()
        if average is not None:
            yield on, average


def _general(courses: Iterable[Sequence[tuple[date, Fraction]]]) -> Iterator[tuple[date, Fraction]]:
    """The mean over subjects after each day on which the average of one of them is known anew."""
    days: dict[date, dict[int, Fraction]] = {}
    for subject, course in enumerate(courses):
        for on, average in course:
            days.setdefault(on, {})[subject] = average
    known: dict[int, Fraction] = {}
    for on, averages in sorted(days.items()):
        known |= averages
        yield on, mean(list(known.values()))


def _class(assessed: Iterable[Assessed]) -> dict[UUID, Fraction]:
    """The average of each pupil who has one."""
    counted: dict[UUID, list[Weighed]] = {}
    for one in assessed:
        coefficient, unit = Fraction(one.coefficient), _FULL / Fraction(one.out_of)
        worth: dict[Decimal, Weighed] = {}
        for pupil, mark in one.marks.items():
            score = score_of(mark)
            if score is None:
                continue
            if score not in worth:
                worth[score] = Weighed(Fraction(score) * unit, coefficient, one.optional, one.bonus)
            counted.setdefault(pupil, []).append(worth[score])
    averages = {pupil: subject_average(marks) for pupil, marks in counted.items()}
    return {pupil: average for pupil, average in averages.items() if average is not None}


def score_of(mark: Mark) -> Decimal | None:
    """What a mark counts as: its score, 0 for the two zeros, None for the codes that count in no average."""
    return Decimal(0) if mark.code in _ZERO_CODES else mark.score


def subject_average(marks: Sequence[Weighed]) -> Fraction | None:
    """The average on 20 of a pupil's marks in a subject; None where no mark bears it.

    Of the optional marks those count that make it highest: from the best one down, each as long as it raises the
    average. Bonus and optional marks alone make no average, there being none to raise.
    """
    bearing = [mark for mark in marks if not (mark.bonus or mark.optional)]
    total = _sum([mark.points * mark.coefficient for mark in bearing])
    total += sum(_above_half(mark) for mark in marks if mark.bonus)
    optional = [mark for mark in marks if mark.optional and not mark.bonus]
    return _raised(total, _sum([mark.coefficient for mark in bearing]), sorted(optional, key=_best_first))


class Standing:
    """A pupil's average in a subject as marks come in one by one; the same as `subject_average` of them all."""

    def __init__(self) -> None:
        self._total = self._weight = Fraction(0)
        self._optional: list[Weighed] = []

    def add(self, mark: Weighed) -> None:
        """Count one more mark."""
        if mark.bonus:
            self._total += _above_half(mark)
        elif mark.optional:
            insort(self._optional, mark, key=_best_first)
        else:
            self._total += mark.points * mark.coefficient
            self._weight += mark.coefficient

    def average(self) -> Fraction | None:
        """The average of what has come in."""
        return _raised(self._total, self._weight, self._optional)


def _raised(total: Fraction, weight: Fraction, optional: Iterable[Weighed]) -> Fraction | None:
    """The average of points times coefficients over coefficients, raised by optional marks, the best one first."""
    if not weight:
        return None
    for mark in optional:
        if mark.points * weight <= total:
            break
        total += mark.points * mark.coefficient
        weight += mark.coefficient
    return min(total / weight, _FULL)


def _above_half(mark: Weighed) -> Fraction:
    return max(mark.points - _FULL / 2, Fraction(0)) * mark.coefficient


def _best_first(mark: Weighed) -> Fraction:
    return -mark.points


def class_figures(averages: Iterable[Fraction]) -> ClassFigures | None:
    """A class's lowest, mean and highest average; None among fewer than five."""
    known = list(averages)
    if len(known) < FEWEST_PUPILS:
        return None
    return ClassFigures(rounded(min(known)), rounded(mean(known)), rounded(max(known)))


def mean(values: Sequence[Fraction]) -> Fraction:
    """The plain mean of at least one value."""
    return _sum(values) / len(values)


def _sum(values: Sequence[Fraction]) -> Fraction:
    # As integers over one denominator: a class has thousands of marks a year, and fractions are reduced at each step.
    common = lcm(*(value.denominator for value in values))
    return Fraction(sum(value.numerator * (common // value.denominator) for value in values), common)


def rounded(value: Fraction) -> Decimal:
    """A value that is not negative to two places, the half upwards."""
    hundredths = (200 * value.numerator + value.denominator) // (2 * value.denominator)
    return Decimal(hundredths).scaleb(-2)
