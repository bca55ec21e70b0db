"""Averages against a slow and obvious model, and what each audience is shown of them on a real PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.audit import Refused
from chassis.database import Connection, Database
from chassis.identity import Caller
from contracts.directory import GroupKind, LinkKind, Membership, Subject, Teaching, Term
from contracts.grades import GradeCode
from roster.replica import ROSTER
from services.grades import store, usecases
from services.grades.app import MIGRATIONS
from services.grades.averages import (
    FEWEST_PUPILS,
    Assessed,
    ClassFigures,
    Reached,
    Standing,
    SubjectAverage,
    TermAverages,
    Weighed,
    by_term,
    class_figures,
    rounded,
    score_of,
    subject_average,
)
from services.grades.domain import Mark
from services.grades.schemas import averages_out
from tests.conftest import open_database
from tests.rosters import UAI, fill, group, link, pupil, school, small_school, uid

ZEROS = (GradeCode.ABSENT_ZERO, GradeCode.NOT_HANDED_IN_ZERO)
PUPILS = [uid(f"pupil {n}") for n in range(7)]
DAYS = [date(2026, 9, day) for day in (3, 7, 21)]
TERMS = [uid("term"), uid("second term")]


@st.composite
def assessments(draw: st.DrawFn, /, **fixed: Any) -> Assessed:
    """An assessment of anything, for any of the pupils."""
    out_of = draw(st.sampled_from([Decimal(20), Decimal(10)]) | st.decimals("0.001", 1000, places=3))
    scores = st.builds(Mark, st.integers(0, 1000).map(lambda n: (out_of * n / 1000).quantize(Decimal("0.001"))))
    codes = st.builds(Mark, st.none(), st.sampled_from([code.value for code in GradeCode]))
    code = draw(st.sampled_from(["FR", "MATHS", "SVT"]))
    values: dict[str, Any] = {
        "term": draw(st.sampled_from(TERMS)),
        "held_on": draw(st.sampled_from(DAYS)),
        "subject_code": code,
        "subject_label": code.title(),
        "out_of": out_of,
        "coefficient": draw(st.sampled_from([Decimal(0), Decimal(1)]) | st.decimals(0, 1000, places=3)),
        "optional": draw(st.booleans()),
        "bonus": draw(st.booleans()),
        "marks": draw(st.dictionaries(st.sampled_from(PUPILS), scores | codes, max_size=len(PUPILS))),
        "of_pupil": draw(st.booleans()),
    }
    return Assessed(**(values | fixed))


books = st.lists(assessments(), max_size=8)
classes = st.dictionaries(st.sampled_from(TERMS), st.sets(st.sampled_from(PUPILS), min_size=3))
"""Who is in the pupil's class, by term."""


# The model: every choice of optional marks is tried, and nothing is shared with the code it checks.


def model_subject(who: UUID, book: Sequence[Assessed]) -> Fraction | None:
    plain: list[tuple[Fraction, Fraction]] = []
    optional: list[tuple[Fraction, Fraction]] = []
    extra = Fraction(0)
    for one in book:
        mark = one.marks.get(who)
        if mark is None or (mark.code is not None and mark.code not in ZEROS):
            continue
        score = Fraction(0) if mark.score is None else Fraction(mark.score)
        pair = (score / Fraction(one.out_of) * 20, Fraction(one.coefficient))
        if one.bonus:
            extra += max(Fraction(0), (score - Fraction(one.out_of) / 2) * 20 / Fraction(one.out_of)) * pair[1]
        else:
            (optional if one.optional else plain).append(pair)
    if sum(weight for _, weight in plain) == 0:
        return None
    tried = []
    for size in range(len(optional) + 1):
        for chosen in itertools.combinations(optional, size):
            counted = plain + list(chosen)
            total = sum((value * weight for value, weight in counted), extra)
            tried.append(total / sum((weight for _, weight in counted), Fraction(0)))
    return min(Fraction(20), max(tried))


def model_rounded(value: Fraction) -> Decimal:
    with localcontext(prec=80):
        # 60 digits after the point tell any value of these sizes from a half; a true half is exact in them.
        digits = Decimal(value.numerator) / Decimal(value.denominator)
        return digits.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def model_evolution(who: UUID, book: Sequence[Assessed]) -> list[Reached]:
    """The average of the marks up to each day of one that counts; over several subjects the mean of theirs."""
    found = []
    for day in DAYS:
        until = [one for one in book if one.held_on <= day]
        subjects = [[one for one in until if one.subject_code == code] for code in {o.subject_code for o in until}]
        borne = [(of, average) for of in subjects if (average := model_subject(who, of)) is not None]
        marks = [one.marks[who] for of, _ in borne for one in of if one.held_on == day and who in one.marks]
        if any(mark.code is None or mark.code in ZEROS for mark in marks):
            average = sum((average for _, average in borne), Fraction(0)) / len(borne)
            found.append(Reached(day, model_rounded(average)))
    return found


def model_figures(everyone: Sequence[Fraction]) -> ClassFigures | None:
    if len(everyone) < 5:
        return None
    three = (min(everyone), sum(everyone) / Fraction(len(everyone)), max(everyone))
    return ClassFigures(*(model_rounded(figure) for figure in three))


def model_general(who: UUID, book: Sequence[Assessed]) -> Fraction | None:
    subjects = [[one for one in book if one.subject_code == code] for code in {one.subject_code for one in book}]
    borne = [average for of in subjects if (average := model_subject(who, of)) is not None]
    return sum(borne) / Fraction(len(borne)) if borne else None


def model(who: UUID, everything: Sequence[Assessed], classes: Mapping[UUID, set[UUID]]) -> list[TermAverages]:
    answer = []
    book = [one for one in everything if one.of_pupil]
    # A term stands where the first assessment of it does, whosever that is.
    for term in [t for t in dict.fromkeys(one.term for one in everything) if any(one.term == t for one in book)]:
        subjects = []
        for code in sorted({one.subject_code for one in book if one.term == term}):
            of_subject = [one for one in book if (one.term, one.subject_code) == (term, code)]
            average = model_subject(who, of_subject)
            figures = model_figures([a for a in (model_subject(p, of_subject) for p in PUPILS) if a is not None])
            shown = None if average is None else model_rounded(average)
            grades = len([one for one in of_subject if who in one.marks])
            subjects.append(
                SubjectAverage(code, code.title(), shown, figures, grades, model_evolution(who, of_subject))
            )
        of_term = [one for one in book if one.term == term]
        general = model_general(who, of_term)
        whole = [one for one in everything if one.term == term]
        generals = [g for g in (model_general(mate, whole) for mate in classes.get(term, ())) if g is not None]
        shown = None if general is None else model_rounded(general)
        answer.append(TermAverages(term, shown, model_figures(generals), model_evolution(who, of_term), subjects))
    return answer


@given(books, classes)
def test_averages_are_those_of_the_model(book: list[Assessed], classes: dict[UUID, set[UUID]]) -> None:
    for who in PUPILS[:2]:
        assert by_term(who, book, classes) == model(who, book, classes)


@given(st.lists(assessments(term=TERMS[0], subject_code="FR", subject_label="Fr"), max_size=8))
def test_one_subject_with_many_marks_is_that_of_the_model(book: list[Assessed]) -> None:
    everyone = {TERMS[0]: set(PUPILS)}
    assert by_term(PUPILS[0], book, everyone) == model(PUPILS[0], book, everyone)


@given(st.lists(assessments(of_pupil=True), max_size=8))
def test_the_class_is_of_the_general_averages_its_pupils_are_shown(book: list[Assessed]) -> None:
    """Where all of them have the same groups; rounded once, as their own are."""
    everyone = {term: set(PUPILS) for term in TERMS}
    shown = [by_term(who, book, everyone) for who in PUPILS]
    for terms in zip(*shown, strict=True):
        generals = [term.general for term in terms if term.general is not None]
        for figures in {term.figures for term in terms}:
            assert (figures is None) == (len(generals) < FEWEST_PUPILS)
            if figures is not None:
                assert (figures.minimum, figures.maximum) == (min(generals), max(generals))
                assert abs(figures.mean - sum(generals) / len(generals)) <= Decimal("0.01")


@given(books, classes, st.data())
def test_the_order_of_marks_is_irrelevant(
    book: list[Assessed], classes: dict[UUID, set[UUID]], data: st.DataObject
) -> None:
    other = data.draw(st.permutations(book))
    found = [{t.term: t for t in by_term(PUPILS[0], one, classes)} for one in (book, other)]
    assert found[0] == found[1]


@given(books)
def test_the_evolution_ends_at_the_average(book: list[Assessed]) -> None:
    for term in by_term(PUPILS[0], book, {}):
        courses = [(term.general, term.evolution), *((each.average, each.evolution) for each in term.subjects)]
        for average, evolution in courses:
            assert (evolution[-1].average if evolution else None) == average
            assert [reached.on for reached in evolution] == sorted({reached.on for reached in evolution})


points = st.fractions(0, 20, max_denominator=1000)
weighed = st.builds(Weighed, points, st.fractions(0, 10, max_denominator=100), st.booleans(), st.booleans())


@given(st.lists(weighed))
def test_marks_that_come_one_by_one_make_the_average_of_them_all(marks: list[Weighed]) -> None:
    standing = Standing()
    for count, mark in enumerate(marks, 1):
        standing.add(mark)
        assert standing.average() == subject_average(marks[:count])


@given(st.lists(weighed), weighed)
def test_an_optional_or_bonus_mark_never_lowers_and_no_average_is_above_20(marks: list[Weighed], more: Weighed) -> None:
    before = subject_average(marks)
    for added in (replace(more, optional=True), replace(more, bonus=True)):
        after = subject_average([*marks, added])
        assert (after is None) == (before is None)
        if before is not None and after is not None:
            assert before <= after <= 20


@given(st.lists(weighed), weighed)
def test_an_optional_mark_counts_in_full_where_it_counts_alone(marks: list[Weighed], more: Weighed) -> None:
    plain = [replace(mark, optional=False, bonus=False) for mark in marks]
    added = replace(more, optional=True, bonus=False)
    before, counted = subject_average(plain), subject_average([*plain, replace(added, optional=False)])
    if before is not None and counted is not None:
        assert subject_average([*plain, added]) == max(before, counted)


def test_bonus_points_above_the_half_add_and_weigh_nothing() -> None:
    ten = Weighed(Fraction(10), Fraction(2))
    assert subject_average([ten, Weighed(Fraction(16), Fraction(1), bonus=True)]) == Fraction(13)
    assert subject_average([ten, Weighed(Fraction(9), Fraction(1), bonus=True)]) == Fraction(10)
    assert subject_average([ten, Weighed(Fraction(20), Fraction(9), bonus=True)]) == Fraction(20)


def test_of_the_optional_marks_the_best_choice_counts() -> None:
    ten, twenty = Weighed(Fraction(10), Fraction(1)), Weighed(Fraction(20), Fraction(1), optional=True)
    assert subject_average([ten, Weighed(Fraction(11), Fraction(1), optional=True), twenty]) == Fraction(15)


def test_bonus_and_optional_marks_alone_make_no_average() -> None:
    extras = [Weighed(Fraction(20), Fraction(1), optional=True), Weighed(Fraction(20), Fraction(1), bonus=True)]
    assert subject_average(extras) is None
    assert subject_average([*extras, Weighed(Fraction(20), Fraction(0))]) is None
    assert subject_average([]) is None


@pytest.mark.parametrize("code", list(GradeCode))
def test_two_codes_count_as_0_and_no_other_counts(code: GradeCode) -> None:
    assert score_of(Mark(code=code.value)) == (Decimal(0) if code in ZEROS else None)


@given(st.integers(0, 4_000))
def test_a_half_is_rounded_up_and_what_is_less_is_not(half_hundredths: int) -> None:
    value = Fraction(half_hundredths, 200)
    up = Decimal((half_hundredths + 1) // 2) / 100
    assert rounded(value) == up
    assert rounded(value - Fraction(1, 10**30)) == (up if half_hundredths % 2 == 0 else up - Decimal("0.01"))


@given(st.fractions(0, 20))
def test_rounding_moves_by_half_a_hundredth_at_most_and_shows_two_places(value: Fraction) -> None:
    assert Fraction(-1, 200) < Fraction(rounded(value)) - value <= Fraction(1, 200)
    assert rounded(value).as_tuple().exponent == -2


def test_the_general_average_is_of_exact_averages() -> None:
    """Of averages already rounded, 10.00 and 10.01, it would be 10.01."""
    marks = {"A": Decimal("10.004"), "B": Decimal("10.005")}
    book = [
        Assessed(TERMS[0], DAYS[0], code, code, Decimal(20), Decimal(1), False, False, {PUPILS[0]: Mark(score)})
        for code, score in marks.items()
    ]
    [term] = by_term(PUPILS[0], book, {})
    assert [subject.average for subject in term.subjects] == [Decimal("10.00"), Decimal("10.01")]
    assert term.general == Decimal("10.00")


def test_a_subject_is_named_as_in_its_latest_assessment() -> None:
    book = [
        Assessed(TERMS[0], DAYS[0], "FR", label, Decimal(20), Decimal(1), False, False, {PUPILS[0]: Mark(Decimal(9))})
        for label in ("Francais", "Français")
    ]
    assert [subject.label for subject in by_term(PUPILS[0], book, {})[0].subjects] == ["Français"]


def test_a_class_of_four_averages_is_not_shown() -> None:
    assert class_figures([Fraction(n) for n in range(FEWEST_PUPILS - 1)]) is None
    shown = class_figures([Fraction(n) for n in range(FEWEST_PUPILS)])
    assert shown == ClassFigures(Decimal("0.00"), Decimal("2.00"), Decimal("4.00"))


# On PostgreSQL

TEACHER, HEAD, MOTHER, ZOE = (Caller(person=uid(name)) for name in ("teacher", "head", "mother", "zoé"))
CLASS = ["zoé", "ali", "bea", "cyd", "dan"]
FRENCH = Subject(code="FR", label="Français")


@pytest.fixture
async def grades(database_url: str) -> AsyncIterator[Database]:
    """The small school in two terms, its class with five pupils and a teacher of two subjects; a class beside it."""
    first = Term(id=TERMS[0], title="1", school_year=2027, starts=date(2026, 9, 1), ends=date(2026, 12, 1))
    second = Term(id=TERMS[1], title="2", school_year=2027, starts=date(2026, 12, 1), ends=date(2027, 7, 1))
    two = [*group().teachers, Teaching(person=uid("teacher"), subject=FRENCH)]
    more = [school(terms=[first, second]), group().model_copy(update={"teachers": two}), group("3B")]
    more += [pupil(name) for name in CLASS[2:]]
    database = await open_database(database_url, ROSTER, MIGRATIONS)
    async with database.transaction() as connection:
        await fill(connection, *small_school(), *more, pupil("eva", [link("mother", LinkKind.LEGAL_GUARDIAN)], "3B"))
    yield database
    await database.close()


async def marked(connection: Connection, scores: dict[str, str], *, shown: bool = True, **changes: Any) -> UUID:
    """An assessment with marks, scores and codes alike; published unless `shown` says otherwise."""
    values: dict[str, Any] = {"group": uid("3A"), "subject": "MATHS", "title": "Contrôle", "term": None}
    values |= {"held_on": date(2026, 11, 20), "out_of": Decimal(20), "coefficient": Decimal(1), "optional": False}
    values |= {"bonus": False, "pupils_due": None, "guardians_due": None}
    id = (await usecases.create_assessment(connection, TEACHER, values | changes)).id
    marks = [Mark(code=s) if s.isalpha() else Mark(Decimal(s)) for s in scores.values()]
    await usecases.put_marks(connection, TEACHER, id, [uid(name) for name in scores], marks, None)
    if shown:
        await usecases.publish(connection, TEACHER, id)
    return id


async def read(database: Database, caller: Caller, who: str = "zoé", year: int | None = None) -> list[dict[str, Any]]:
    async with database.transaction() as connection:
        return averages_out((await usecases.averages(connection, caller, uid(who), year)).terms)


def general_of(terms: list[dict[str, Any]]) -> Any:
    """The class's general averages in the one term."""
    [term] = terms
    return term["class"]


def maths(terms: list[dict[str, Any]]) -> dict[str, Any]:
    """The one subject of the one term, without its evolution."""
    [term] = terms
    [subject] = term["subjects"]
    assert subject.pop("evolution") == term["evolution"]
    assert subject.pop("subject") == {"code": "MATHS", "label": "Mathématiques"}
    return dict(subject)


async def test_a_pupils_averages_are_by_term_and_subject(grades: Database) -> None:
    async with grades.transaction() as connection:
        await marked(connection, {"zoé": "10"})
        await marked(connection, {"zoé": "7.5"}, out_of=Decimal(10), coefficient=Decimal(2))
        await marked(connection, {"zoé": "absent"})
        await marked(connection, {"zoé": "12"}, subject="FR", held_on=date(2026, 11, 23))
        await marked(connection, {"zoé": "absent"}, held_on=date(2026, 12, 1))
        found = await usecases.averages(connection, ZOE, uid("zoé"))
    subject = {"code": "MATHS", "label": "Mathématiques"}
    in_maths = {"on": "2026-11-20", "average": "13.33"}
    in_french = {"on": "2026-11-23", "average": "12.00"}
    of_french = {"code": "FR", "label": "Français"}
    french = {"subject": of_french, "average": "12.00", "class": None, "grades": 1, "evolution": [in_french]}
    mathematics = {"subject": subject, "average": "13.33", "class": None, "grades": 3, "evolution": [in_maths]}
    assert (found.audience, found.school_years) == ("pupils", [2027])
    assert averages_out(found.terms) == [
        {
            "term": str(TERMS[0]),
            "general": "12.67",
            "class": None,
            "evolution": [in_maths, {"on": "2026-11-23", "average": "12.67"}],
            "subjects": [french, mathematics],
        },
        {
            "term": str(TERMS[1]),
            "general": None,
            "class": None,
            "evolution": [],
            "subjects": [{"subject": subject, "average": None, "class": None, "grades": 1, "evolution": []}],
        },
    ]


async def test_grades_are_listed_of_one_term_or_all(grades: Database) -> None:
    async with grades.transaction() as connection:
        first = await marked(connection, {"zoé": "10"})
        second = await marked(connection, {"zoé": "11"}, held_on=date(2026, 12, 1))
        for term, expected in ((None, {first, second}), (TERMS[0], {first}), (TERMS[1], {second}), (uid("no"), set())):
            seen = await store.seen_grades(connection, uid("zoé"), "guardians", None, 10, term)
            standing = await store.standing_grades(connection, uid("zoé"), None, 10, term)
            assert {row["id"] for row in seen} == {row["id"] for row in standing} == expected


async def test_grades_follow_their_assessment_into_another_term(grades: Database) -> None:
    async with grades.transaction() as connection:
        moved = await marked(connection, {"zoé": "10"})
        found = await store.assessment(connection, moved)
        assert found is not None
        changes = {"held_on": date(2026, 12, 1), "term": TERMS[1]}
        await usecases.change_assessment(connection, TEACHER, moved, found.version, changes)
        for term, expected in ((TERMS[0], set()), (TERMS[1], {moved})):
            seen = await store.seen_grades(connection, uid("zoé"), "guardians", None, 10, term)
            assert {row["id"] for row in seen} == expected


async def test_a_mark_not_yet_due_for_guardians_changes_pupils_averages_only(grades: Database) -> None:
    async with grades.transaction() as connection:
        await marked(connection, dict.fromkeys(CLASS, "10"))
    before = maths(await read(grades, MOTHER))
    assert before == maths(await read(grades, ZOE))
    assert before["class"] == {"minimum": "10.00", "mean": "10.00", "maximum": "10.00"}
    later = datetime.now(UTC) + timedelta(days=1)
    async with grades.transaction() as connection:
        await marked(connection, {"zoé": "20", "ali": "0"}, guardians_due=later)
    assert maths(await read(grades, MOTHER)) == before
    after = {"average": "15.00", "class": {"minimum": "5.00", "mean": "10.00", "maximum": "15.00"}, "grades": 2}
    assert maths(await read(grades, ZOE)) == maths(await read(grades, HEAD)) == after


async def test_staff_see_averages_of_the_marks_that_stand(grades: Database) -> None:
    async with grades.transaction() as connection:
        await marked(connection, {"zoé": "10"}, shown=False)
        gone = await marked(connection, {"zoé": "0"})
        await usecases.withdraw(connection, TEACHER, gone)
    assert await read(grades, ZOE) == await read(grades, MOTHER) == []
    assert maths(await read(grades, HEAD)) == {"average": "10.00", "class": None, "grades": 1}


async def test_a_class_is_shown_from_five_averages_the_audience_sees(grades: Database) -> None:
    async with grades.transaction() as connection:
        await marked(connection, dict(zip(CLASS, ("8", "9", "10", "11", "absent"), strict=True)))
        await marked(connection, {"dan": "12"}, shown=False)
        await marked(connection, {"eva": "0"}, group=uid("3B"))
    assert maths(await read(grades, ZOE))["class"] is None
    assert maths(await read(grades, HEAD))["class"] == {"minimum": "8.00", "mean": "10.00", "maximum": "12.00"}


async def test_a_class_has_the_general_averages_that_the_audience_sees(grades: Database) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    async with grades.transaction() as connection:
        await marked(connection, dict(zip(CLASS, ("8", "9", "10", "11", "12"), strict=True)))
        await marked(connection, dict(zip(CLASS, ("10", "10", "10", "10", "15.01"), strict=True)), subject="FR")
        await marked(connection, {"eva": "0"}, group=uid("3B"))
        await marked(connection, {"ali": "0"}, guardians_due=later)
    # Dan's is 13.505.
    assert general_of(await read(grades, MOTHER)) == {"minimum": "9.00", "mean": "10.50", "maximum": "13.51"}
    for caller in (ZOE, HEAD):
        # Ali's is (4.5 + 10) / 2.
        assert general_of(await read(grades, caller)) == {"minimum": "7.25", "mean": "10.05", "maximum": "13.51"}


async def test_four_general_averages_are_not_shown(grades: Database) -> None:
    async with grades.transaction() as connection:
        await marked(connection, dict.fromkeys(CLASS[:4], "10"))
        await marked(connection, {"dan": "12"}, shown=False)
        await marked(connection, {"eva": "0"}, group=uid("3B"))
    assert general_of(await read(grades, ZOE)) is None
    assert general_of(await read(grades, HEAD)) == {"minimum": "10.00", "mean": "10.40", "maximum": "12.00"}


async def test_a_classmates_marks_in_other_groups_count_in_the_class(grades: Database) -> None:
    """Dan learns Latin beside pupils of another class, whose averages are none of this class's."""
    latin = group("Latin").model_copy(update={"kind": GroupKind.GROUP})
    both = [Membership(group=uid(name), uai=UAI) for name in ("3A", "Latin")]
    async with grades.transaction() as connection:
        latinists = [pupil("dan", memberships=both), pupil("eva", memberships=[*both[1:]])]
        await fill(connection, latin, *latinists)
        await marked(connection, dict.fromkeys(CLASS, "10"), subject="FR")
        await marked(connection, {"dan": "20", "eva": "0"}, group=uid("Latin"))
    [term] = await read(grades, ZOE)
    assert [subject["subject"]["code"] for subject in term["subjects"]] == ["FR"]
    assert term["class"] == {"minimum": "10.00", "mean": "11.00", "maximum": "15.00"}


async def test_a_correction_and_a_withdrawal_change_averages(grades: Database) -> None:
    async with grades.transaction() as connection:
        id = await marked(connection, {"zoé": "10"})
        await usecases.put_marks(connection, TEACHER, id, [uid("zoé")], [Mark(code="not_handed_in_zero")], None)
    assert maths(await read(grades, MOTHER)) == {"average": "0.00", "class": None, "grades": 1}
    async with grades.transaction() as connection:
        await usecases.remove_mark(connection, TEACHER, id, uid("zoé"), None)
    assert await read(grades, MOTHER) == await read(grades, HEAD) == []


async def test_averages_are_of_the_latest_year_or_the_one_named(grades: Database) -> None:
    async with grades.transaction() as connection:
        old = await marked(connection, {"zoé": "8"})
        await connection.execute("UPDATE assessments SET school_year = 2026, term = $2 WHERE id = $1", old, uid("old"))
        await marked(connection, {"zoé": "12"})
    for caller in (ZOE, HEAD):
        assert maths(await read(grades, caller))["average"] == "12.00"
        assert maths(await read(grades, caller, year=2026))["average"] == "8.00"
        assert await read(grades, caller, year=2025) == []


@pytest.mark.parametrize("who", ["nanny", "neighbour", "other mother", "ali", "other teacher"])
async def test_who_sees_no_grades_sees_no_averages(grades: Database, who: str) -> None:
    async with grades.transaction() as connection:
        await marked(connection, {"zoé": "10"})
        with pytest.raises(Refused):
            await usecases.averages(connection, Caller(person=uid(who)), uid("zoé"))
