"""What the demo reads out of items, and the day on which it posts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from cli.demo.cast import school_day
from cli.demo.desk import shown
from cli.demo.reader import state_of, title_of
from contracts.directory import Subject
from contracts.grades import AssessmentRef, Mark
from wording.grades import grade_summary, grade_title

_ID = UUID(int=1)
ASSESSMENT = AssessmentRef(
    id=_ID, title="Contrôle (23/11 10:00:00)", subject=Subject(code="MATHS", label="Maths : calcul"), group=_ID,
    school_year=2027, term=_ID, held_on=date(2026, 11, 23), out_of=Decimal(20), coefficient=Decimal(2),
)  # fmt: skip


def test_an_item_says_which_assessment_and_what_it_shows() -> None:
    for score in (Decimal("14.5"), Decimal(0), Decimal(20)):
        mark = Mark(score=score, comment="Bien · très bien")
        item = {
            "title": grade_title(ASSESSMENT.subject.label, mark, ASSESSMENT.out_of)._asdict(),
            "summary": grade_summary(ASSESSMENT, mark, Mark(score=Decimal(3)))._asdict(),
        }
        assert title_of(item) == ASSESSMENT.title
        assert state_of(item) == shown(score)


def test_the_day_is_in_a_term_whenever_the_demo_is_shown() -> None:
    today = date.today()  # noqa: DTZ011 - any day does
    for distance in (-400, -10, 0, 10, 400):
        starts = today + timedelta(days=distance)
        term = {"school_year": 2027, "starts": f"{starts}", "ends": f"{starts + timedelta(days=5)}"}
        day = school_day({"zone": "Europe/Paris", "terms": [term]}, 2027)
        assert starts <= day < starts + timedelta(days=5)
