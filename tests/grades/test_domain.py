"""The rules of grades as properties: what audiences are told adds up to what they may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.grades.domain import (
    Disclosure,
    Mark,
    Told,
    Visibility,
    check_day,
    check_marks,
    grade_id,
    to_tell,
)

AUDIENCES = ("pupils", "guardians")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PUPILS = [uuid4() for _ in range(3)]
marks = st.builds(Mark, score=st.decimals(0, 20, places=2)) | st.builds(
    Mark, score=st.none(), code=st.sampled_from(["absent", "exempted"]), comment=st.none() | st.text(max_size=5)
)


@dataclass
class Audience:
    """What one audience has pieced together from what it was told."""

    seen: dict[UUID, Mark] = field(default_factory=dict)


class Visibilities(RuleBasedStateMachine):
    """Whatever is done in whatever order, each audience has been told exactly what it may see."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[UUID, Mark] = {}
        self.published = self.withdrawn = False
        self.due: set[str] = set()
        self.version = 1
        self.disclosed: dict[tuple[UUID, str], Disclosure] = {}
        self.audiences = {audience: Audience() for audience in AUDIENCES}

    def tell(self, pupils: list[UUID]) -> None:
        visibility = Visibility(self.published, self.withdrawn, frozenset(self.due), self.version)
        standing = {pupil: self.marks.get(pupil) for pupil in pupils}
        for change in list(to_tell(visibility, standing, self.disclosed, AUDIENCES)):
            seen, key = self.audiences[change.audience].seen, (change.pupil, change.audience)
            if change.told is Told.WITHDRAWN:
                assert seen.pop(change.pupil) == self.disclosed.pop(key).mark
                continue
            assert change.mark is not None
            assert (change.told is Told.CORRECTED) == (change.pupil in seen)
            seen[change.pupil] = change.mark
            self.disclosed[key] = Disclosure(change.mark, self.version, uuid4(), NOW)

    @rule(pupil=st.sampled_from(PUPILS), mark=marks)
    def mark(self, pupil: UUID, mark: Mark) -> None:
        self.marks[pupil] = mark
        self.tell([pupil])

    @rule(pupil=st.sampled_from(PUPILS))
    def remove(self, pupil: UUID) -> None:
        self.marks.pop(pupil, None)
        self.tell([pupil])

    @rule()
    def publish(self) -> None:
        self.published, self.withdrawn = True, False
        self.tell(PUPILS)

    @rule()
    def withdraw(self) -> None:
        self.withdrawn = True
        self.tell(PUPILS)

    @rule(audience=st.sampled_from(AUDIENCES))
    def reach_due_time(self, audience: str) -> None:
        self.due.add(audience)
        self.tell(PUPILS)

    @rule()
    def change_assessment(self) -> None:
        self.version += 1
        self.tell(PUPILS)

    @invariant()
    def each_audience_knows_what_it_may_see(self) -> None:
        for audience, known in self.audiences.items():
            shown = self.published and not self.withdrawn and audience in self.due
            assert known.seen == (self.marks if shown else {})


TestVisibilities = Visibilities.TestCase


def test_a_correction_between_two_due_times_is_one_to_pupils_and_a_publication_to_guardians() -> None:
    old, new, pupil = Mark(Decimal(10)), Mark(Decimal(12)), PUPILS[0]
    told_pupils = {(pupil, "pupils"): Disclosure(old, 1, uuid4(), NOW)}
    noon = Visibility(True, False, frozenset({"pupils"}), 1)
    assert [(c.told, c.audience) for c in to_tell(noon, {pupil: new}, told_pupils, AUDIENCES)] == [
        (Told.CORRECTED, "pupils")
    ]
    told_pupils[(pupil, "pupils")] = Disclosure(new, 1, uuid4(), NOW)
    evening = Visibility(True, False, frozenset(AUDIENCES), 1)
    assert [(c.told, c.audience) for c in to_tell(evening, {pupil: new}, told_pupils, AUDIENCES)] == [
        (Told.PUBLISHED, "guardians")
    ]


@given(st.lists(st.sampled_from(PUPILS), max_size=5), st.lists(st.decimals(0, 30, places=1), min_size=5, max_size=5))
def test_every_bad_mark_is_named_and_no_good_one(pupils: list[UUID], scores: list[Decimal]) -> None:
    members = set(PUPILS[:2])
    broken = {
        (b.field, b.rule) for b in check_marks(pupils, [Mark(s) for s in scores[: len(pupils)]], members, Decimal(20))
    }
    expected = set()
    for index, pupil in enumerate(pupils):
        if pupil in pupils[:index]:
            expected.add((f"marks.{index}.pupil", "repeated"))
        if pupil not in members:
            expected.add((f"marks.{index}.pupil", "not-in-group"))
        if scores[index] > 20:
            expected.add((f"marks.{index}.score", "at-most-out-of"))
    assert broken == expected


def test_a_term_ends_before_its_last_date() -> None:
    starts, ends = date(2026, 9, 1), date(2026, 12, 1)
    assert check_day(date(2026, 11, 30), starts, ends) == []
    assert [b.field for b in check_day(date(2026, 12, 1), starts, ends)] == ["held_on"]


def test_a_grade_keeps_its_identity() -> None:
    assert grade_id(PUPILS[0], PUPILS[1]) == grade_id(PUPILS[0], PUPILS[1]) != grade_id(PUPILS[1], PUPILS[0])
