"""A pupil's grades arranged for a page: whose, of which term, in which words."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.portal import gradebook
from services.portal.answers import Averages, Grade, School, Term
from services.portal.client import Me
from services.portal.gradebook import GradesView
from services.portal.words import EN, FR, Words

LEA, TOM, FIRST, SECOND, OLD, OLDER = (UUID(int=n) for n in (1, 2, 3, 4, 5, 6))
NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
TERMS = [
    Term(id=FIRST, title="1er trimestre", school_year=2027, starts=date(2026, 9, 1), ends=date(2026, 12, 1)),
    Term(id=SECOND, title="2e trimestre", school_year=2027, starts=date(2026, 12, 1), ends=date(2027, 3, 8)),
]
FORMER = [
    Term(id=OLDER, title="1er trimestre", school_year=2026, starts=date(2025, 9, 1), ends=date(2025, 12, 1)),
    Term(id=OLD, title="2e trimestre", school_year=2026, starts=date(2025, 12, 1), ends=date(2026, 8, 1)),
    Term(id=UUID(int=8), title="Année", school_year=2025, starts=date(2024, 9, 1), ends=date(2025, 8, 1)),
]
SCHOOL = School(terms=TERMS)
MATHS = {"code": "MATHS", "label": "Mathématiques"}


def person(name: str, identity: UUID) -> dict[str, Any]:
    return {"id": str(identity), "given_name": name, "family_name": "Moreau", "uai": "0921234S", "school_name": "C"}


def me(*children: dict[str, Any], roles: tuple[str, ...] = ("guardian",)) -> Me:
    held = [{"name": role, "uai": "0921234S", "school_name": "C"} for role in roles]
    return Me.model_validate_json(
        json.dumps({"person": person("Claire", UUID(int=9)), "roles": held, "children": children})
    )


FAMILY = me(person("Léa", LEA), person("Tom", TOM))


def mark(score: str | None = "14.5", **changes: Any) -> Grade:
    values: dict[str, Any] = {"assessment": UUID(int=7), "title": "Contrôle", "subject": MATHS, "out_of": "20"}
    values |= {"held_on": date(2026, 11, 12), "coefficient": "1", "optional": False, "bonus": False, "score": score}
    values |= {"published_at": NOON, "updated_at": NOON, "code": None, "comment": None}
    return Grade.model_validate(values | changes)


def averages(*evolution: tuple[str, str], figures: dict[str, str] | None = None) -> Averages:
    reached = [{"on": on, "average": average} for on, average in evolution]
    average = evolution[-1][1] if evolution else None
    subject = {"subject": MATHS, "average": average, "class": figures, "evolution": reached}
    term = {"term": FIRST, "general": average, "class": figures, "evolution": reached, "subjects": [subject]}
    return Averages.model_validate({"terms": [term]})


def view(
    found: Averages,
    *marks: Grade,
    words: Words = FR,
    now: datetime = NOON,
    school: School = SCHOOL,
    shown: UUID | None = None,
) -> GradesView:
    pupil = gradebook.pupil_of(FAMILY, LEA)
    assert pupil is not None
    terms = gradebook.begun(school, now.date())
    term = next((one for one in terms if shown in (None, one.id)), None)
    return gradebook.grades(FAMILY, pupil, terms, term, found, marks, "here", words, now)


def test_a_visitor_reads_of_their_children_or_of_themself() -> None:
    pupil = me(roles=("pupil",))
    assert pupil.person is not None
    found = [gradebook.pupil_of(FAMILY, child) for child in (None, TOM, UUID(int=99))]
    assert [one.id if one else None for one in found] == [LEA, TOM, None]
    own = gradebook.pupil_of(pupil, None)
    assert own is not None
    assert (own.id, own.own) == (pupil.person.id, True)
    assert gradebook.pupil_of(pupil, LEA) is None
    assert gradebook.pupil_of(me(roles=("teacher",)), None) is None


@pytest.mark.parametrize(
    ("name", "french"),
    [("Léa", "Notes de Léa"), ("Élise", "Notes d’Élise"), ("ALIX", "Notes d’ALIX"), ("Yanis", "Notes de Yanis")],
)
def test_whose_grades_they_are_is_said_as_people_say_it(name: str, french: str) -> None:
    pupil = gradebook.Pupil(LEA, name, "0921234S", own=False)
    for words, title in ((FR, french), (EN, f"{name}’s grades")):
        assert gradebook.grades(FAMILY, pupil, TERMS, TERMS[0], averages(), [], "here", words, NOON).title == title


def test_the_current_term_comes_first_and_none_that_has_not_begun() -> None:
    assert [term.id for term in gradebook.begun(SCHOOL, date(2026, 11, 30))] == [FIRST]
    shown = view(averages(), now=datetime(2026, 12, 1, 11, tzinfo=UTC))
    assert [(one.label, one.current) for one in shown.terms] == [("2e trimestre", True), ("1er trimestre", False)]
    assert [one.href for one in shown.terms] == [f"/notes?enfant={LEA}", f"/notes?enfant={LEA}&periode={FIRST}"]


def test_earlier_years_with_marks_are_a_link_away_each_by_its_last_term() -> None:
    school = School(terms=[*TERMS, *FORMER])
    now = view(Averages(school_years=[2027, 2026], terms=[]), school=school)
    assert now.year == "2026\u20112027"
    assert [(one.label, one.current) for one in now.years] == [("2026\u20112027", True), ("2025\u20112026", False)]
    assert [one.href for one in now.years] == [f"/notes?enfant={LEA}", f"/notes?enfant={LEA}&periode={OLD}"]
    former = view(Averages(school_years=[2026], terms=[]), school=school, shown=OLDER)
    assert [(one.name, one.current) for one in former.years] == [("2027", False), ("2026", True)]
    assert [(one.label, one.current) for one in former.terms] == [("2e trimestre", False), ("1er trimestre", True)]


def test_a_year_alone_is_no_choice_and_one_without_marks_none_either() -> None:
    school = School(terms=[*TERMS, *FORMER])
    assert view(Averages(school_years=[2027], terms=[]), school=school).years == ()
    assert view(Averages(terms=[]), now=datetime(2024, 8, 20, tzinfo=UTC), school=school).years == ()
    # A year that was asked for all the same is named, and the way back from it.
    asked = view(Averages(terms=[]), school=school, shown=UUID(int=8))
    assert [(one.name, one.current) for one in asked.years] == [("2027", False), ("2025", True)]


def test_figures_are_written_as_people_of_the_language_do() -> None:
    found = averages(("2026-11-12", "13.25"), figures={"minimum": "6.50", "mean": "12.10", "maximum": "17.00"})
    french, english = view(found, mark()), view(found, mark(), words=EN)
    assert (french.general, english.general) == ("13,25", "13.25")
    assert (french.subjects[0].marks[0].score, english.subjects[0].marks[0].score) == ("14,5", "14.5")
    for figures in (french, french.subjects[0]):
        assert (figures.class_mean, figures.class_range) == ("Classe\u00a0: 12,10", "de 6,50 à 17,00")
    without = view(averages(("2026-11-12", "13.25")), mark())
    assert (without.class_mean, without.class_range) == ("", "")


def test_a_mark_says_what_it_is() -> None:
    later = NOON + timedelta(minutes=5)
    marks = [
        mark(held_on=date(2026, 11, 1), coefficient="2.5", bonus=True, comment="Bravo"),
        mark(None, code="absent", updated_at=later),
        mark(None, code="of_the_future", held_on=date(2026, 10, 1), optional=True),
    ]
    absent, bonus, future = view(averages(), *marks, now=later).subjects[0].marks
    assert (absent.word, absent.score, absent.corrected) == ("Absent", "", "à l’instant")
    assert (bonus.day, bonus.details, bonus.corrected) == ("1er nov.", " · coefficient 2,5 · bonus", "")
    assert bonus.comment == "«\u202fBravo\u202f»"
    assert (future.word, future.details) == ("of_the_future", " · facultatif")


def test_an_evolution_is_told_in_words_and_as_a_table() -> None:
    course = view(averages(("2026-09-10", "15.00"), ("2026-10-01", "11.50"), ("2026-11-12", "13.25")), mark()).course
    assert course is not None
    assert course.told == "De 15,00 le 10 sept. à 13,25 le 12 nov., entre 11,50 et 15,00 sur 20."
    assert [row[1:] for row in course.rows] == [("12 nov.", "13,25"), ("1er oct.", "11,50"), ("10 sept.", "15,00")]
    assert [label.text for label in course.months] == ["sept.", "oct.", "nov."]
    one = view(averages(("2026-09-10", "15.00")), mark()).course
    assert one is not None
    assert one.told == "Le 10 sept.\u00a0: 15,00 sur 20."


def test_marks_without_an_average_are_shown_and_no_line() -> None:
    shown = view(Averages(terms=[]), mark(None, code="absent"))
    assert (shown.general, shown.course) == ("", None)
    assert [(s.label, s.average, s.course, len(s.marks)) for s in shown.subjects] == [("Mathématiques", "", None, 1)]


def test_without_grades_or_a_term_a_sentence_stands() -> None:
    assert view(Averages(terms=[])).empty == FR.no_grades
    assert view(Averages(terms=[]), now=datetime(2026, 8, 20, tzinfo=UTC)).empty == FR.no_term


def test_what_the_page_shows_already_is_no_news() -> None:
    later = NOON + timedelta(minutes=5)
    config = json.loads(view(averages(), mark(), mark(updated_at=later)).config)
    assert (config["latest"], config["scope"]) == (later.isoformat(), f"pupils/{LEA}")
