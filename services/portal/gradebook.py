"""View models of a pupil's grades of a term: averages, how they evolved, marks by subject. Pure, like `views`."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from services.portal import plot, views
from services.portal.answers import Averages, ClassFigures, Grade, Reached, School, SubjectAverage, Term, TermAverages
from services.portal.client import Me
from services.portal.views import ChildView, LinkView, number
from services.portal.words import Words

_VOWELS = tuple("aeiouœæ")


@dataclass(frozen=True, slots=True)
class Pupil:
    """Whose grades are read; `own` where the pupil reads."""

    id: UUID
    name: str
    uai: str
    own: bool


@dataclass(frozen=True, slots=True)
class MarkView:
    """One mark; `word` stands instead of a score."""

    score: str
    out_of: str
    word: str
    title: str
    details: str
    day: str
    held_on: str
    comment: str
    corrected: str


@dataclass(frozen=True, slots=True)
class LabelView:
    """Words at a place of a drawing."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class CourseView:
    """How an average evolved: the drawing, what it says in words, and the same as a table."""

    id: str
    title: str
    told: str
    plot: plot.Plot
    months: tuple[LabelView, ...]
    last: LabelView
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class SubjectView:
    """A subject: its average, the class's, its marks, latest first."""

    id: str
    label: str
    average: str
    class_mean: str
    class_range: str
    marks: tuple[MarkView, ...]
    course: CourseView | None


@dataclass(frozen=True, slots=True)
class GradesView:
    """The whole of the page; `terms` are links, and so are `years` where there is more than `year`, the one shown."""

    title: str
    tone: str
    children: tuple[ChildView, ...]
    year: str
    years: tuple[LinkView, ...]
    terms: tuple[LinkView, ...]
    general: str
    class_mean: str
    class_range: str
    course: CourseView | None
    subjects: tuple[SubjectView, ...]
    empty: str
    stream: str
    config: str


def pupil_of(me: Me, child: UUID | None) -> Pupil | None:
    """Whose grades the visitor asks for: a child's, the first one's, or a pupil's own; None where there is none."""
    for one in me.children:
        if child is None or one.id == child:
            return Pupil(one.id, one.given_name, one.uai, own=False)
    own = [role for role in me.roles if role.name == "pupil"]
    if me.person is not None and own and child in (None, me.person.id):
        return Pupil(me.person.id, me.person.given_name, own[0].uai, own=True)
    return None


def begun(school: School, today: date) -> list[Term]:
    """The terms that have begun, latest first."""
    return sorted((t for t in school.terms if t.starts <= today), key=lambda t: t.starts, reverse=True)


def grades(
    me: Me,
    pupil: Pupil,
    terms: Sequence[Term],
    term: Term | None,
    averages: Averages,
    marks: Sequence[Grade],
    cursor: str,
    words: Words,
    now: datetime,
) -> GradesView:
    """The page of a pupil's grades of a term (None: no school year has begun)."""
    found = next((one for one in averages.terms if term is not None and one.term == term.id), None)
    within = _frame(term, found, now) if term and found else None
    mean, spread = _class(found.figures if found else None, words)
    return GradesView(
        title=_title(pupil, words),
        tone=views.tones(me).get(pupil.id, ""),
        children=views.children(me, pupil.id, _href) if len(me.children) > 1 else (),
        year=_year(term.school_year, words) if term else "",
        years=_years(pupil, terms, term, averages.school_years, words),
        terms=_terms(pupil, terms, term),
        general=number(found.general, words) if found and found.general else "",
        class_mean=mean,
        class_range=spread,
        course=_course("general", words.general_average, found.evolution, within, words) if found and within else None,
        subjects=_subjects(found, marks, within, words, now),
        empty=words.no_grades if term else words.no_term,
        stream=f"preau-{me.person.id}" if me.person else "",
        config=_config(pupil, marks, cursor, words, now),
    )


def _title(pupil: Pupil, words: Words) -> str:
    if pupil.own:
        return words.own_grades
    # "de" loses its vowel before another, an accent on it or not; before an h usage varies, and y is heard as a consonant.
    elided = unicodedata.normalize("NFD", pupil.name)[:1].casefold() in _VOWELS
    return (words.grades_of_vowel if elided else words.grades_of).format(name=pupil.name)


def _href(child: UUID, term: UUID | None = None) -> str:
    given = {"enfant": child, "periode": term}
    return "/notes?" + urlencode({name: value for name, value in given.items() if value is not None})


def _year(year: int, words: Words) -> str:
    return words.school_year.format(first=year - 1, second=year)


def _years(
    pupil: Pupil, terms: Sequence[Term], term: Term | None, with_marks: Sequence[int], words: Words
) -> tuple[LinkView, ...]:
    """The years with marks and the current one, latest first, each by its last term that has begun; none beside one."""
    if term is None:
        return ()
    current = terms[0].school_year
    latest: dict[int, Term] = {}
    for one in terms:
        if one.school_year in (*with_marks, current, term.school_year):
            latest.setdefault(one.school_year, one)
    if len(latest) == 1:
        return ()
    return tuple(
        LinkView(
            str(year),
            _year(year, words),
            _href(pupil.id, None if year == current else one.id),
            year == term.school_year,
        )
        for year, one in latest.items()
    )


def _terms(pupil: Pupil, terms: Sequence[Term], term: Term | None) -> tuple[LinkView, ...]:
    if term is None:
        return ()
    of_year = [one for one in terms if one.school_year == term.school_year]
    current = terms[0].id
    return tuple(
        LinkView(str(one.id), one.title, _href(pupil.id, None if one.id == current else one.id), one.id == term.id)
        for one in of_year
    )


def _frame(term: Term, found: TermAverages, now: datetime) -> plot.Frame:
    """From the term's first day to its last, or to today: a term half over is not drawn half empty."""
    today = now.astimezone(views.ZONE).date()
    ends = min(term.ends - timedelta(days=1), max(today, term.starts))
    evolutions = [found.evolution, *(subject.evolution for subject in found.subjects)]
    return plot.frame(term.starts, ends, [_points(evolution) for evolution in evolutions])


def _points(evolution: Iterable[Reached]) -> list[plot.Point]:
    return [plot.Point(reached.on, reached.average) for reached in evolution]


def _course(id: str, what: str, evolution: Iterable[Reached], within: plot.Frame, words: Words) -> CourseView | None:
    made = plot.plot(_points(evolution), within)
    if made is None:
        return None
    last = made.dots[-1]
    return CourseView(
        id=id,
        title=words.evolution_of.format(what=what),
        told=_told(made, words),
        plot=made,
        months=tuple(LabelView(m.x, plot.BOTTOM + 20, _month(m.day, within, words)) for m in made.months),
        last=LabelView(made.label_x, made.label_y, _average(last.point.average, words)),
        rows=tuple(
            (dot.point.on.isoformat(), _day(dot.point.on, words), _average(dot.point.average, words))
            for dot in reversed(made.dots)
        ),
    )


def _told(made: plot.Plot, words: Words) -> str:
    first, last = made.dots[0].point, made.dots[-1].point
    averages = [dot.point.average for dot in made.dots]
    pattern = words.evolution_told if len(averages) > 1 else words.evolution_one
    return pattern.format(
        first=_average(first.average, words),
        from_day=_day(first.on, words),
        last=_average(last.average, words),
        to_day=_day(last.on, words),
        lowest=_average(min(averages), words),
        highest=_average(max(averages), words),
    )


def _average(average: Decimal, words: Words) -> str:
    return number(str(average), words)


def _day(day: date, words: Words) -> str:
    return words.day_short.format(day=views.day_of_month(day, words), month=words.months_short[day.month - 1])


def _month(day: date, within: plot.Frame, words: Words) -> str:
    # A frame in which no month begins is labelled with its first day.
    return _day(day, words) if day == within.first and day.day != 1 else words.months_short[day.month - 1]


def _subjects(
    found: TermAverages | None, marks: Sequence[Grade], within: plot.Frame | None, words: Words, now: datetime
) -> tuple[SubjectView, ...]:
    """The subjects by name; one whose average is not known yet has its marks all the same."""
    known = {subject.subject.code: subject for subject in found.subjects} if found else {}
    labels = {mark.subject.code: mark.subject.label for mark in reversed(marks)}
    labels |= {code: subject.subject.label for code, subject in known.items()}
    ordered = sorted(labels.items(), key=lambda one: one[1].casefold())
    return tuple(
        _subject(
            f"subject-{place}", label, known.get(code), [m for m in marks if m.subject.code == code], within, words, now
        )
        for place, (code, label) in enumerate(ordered)
    )


def _subject(
    id: str,
    label: str,
    found: SubjectAverage | None,
    marks: Sequence[Grade],
    within: plot.Frame | None,
    words: Words,
    now: datetime,
) -> SubjectView:
    mean, spread = _class(found.figures if found else None, words)
    latest_first = sorted(marks, key=lambda mark: (mark.held_on, mark.published_at), reverse=True)
    return SubjectView(
        id=id,
        label=label,
        average=number(found.average, words) if found and found.average else "",
        class_mean=mean,
        class_range=spread,
        marks=tuple(_mark(mark, words, now) for mark in latest_first),
        course=_course(id, label, found.evolution, within, words) if found and within else None,
    )


def _class(figures: ClassFigures | None, words: Words) -> tuple[str, str]:
    if figures is None:
        return "", ""
    lowest, highest = number(figures.minimum, words), number(figures.maximum, words)
    return (
        words.class_mean.format(mean=number(figures.mean, words)),
        words.class_range.format(minimum=lowest, maximum=highest),
    )


def _mark(mark: Grade, words: Words, now: datetime) -> MarkView:
    details = [words.coefficient.format(value=number(mark.coefficient, words))] if mark.coefficient != "1" else []
    details += [word for word, holds in ((words.bonus, mark.bonus), (words.optional, mark.optional)) if holds]
    corrected = mark.updated_at > mark.published_at
    return MarkView(
        score=number(mark.score, words) if mark.score is not None else "",
        out_of=number(mark.out_of, words),
        word=words.codes.get(mark.code, mark.code) if mark.code else "",
        title=mark.title,
        details="".join(f" · {detail}" for detail in details),
        day=_day(mark.held_on, words),
        held_on=mark.held_on.isoformat(),
        comment=words.said.format(text=mark.comment) if mark.comment else "",
        corrected=views.moment(mark.updated_at, words, now) if corrected else "",
    )


_LIVE_WORDS = ("live", "waiting", "offline", "refreshed")


def _config(pupil: Pupil, marks: Sequence[Grade], cursor: str, words: Words, now: datetime) -> str:
    """What the live part of the page must know: whose events concern it, and which it shows already."""
    return json.dumps(
        {
            "cursor": cursor,
            "renderedAt": int(now.timestamp() * 1000),
            "scope": f"pupils/{pupil.id}",
            "latest": max((mark.updated_at.isoformat() for mark in marks), default=None),
            "words": {name: getattr(words, name) for name in _LIVE_WORDS},
        },
        ensure_ascii=False,
    )
