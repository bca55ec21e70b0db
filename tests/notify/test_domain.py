"""What people are told, whatever the order in which facts change and messages leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import new_id
from contracts.grades import GradeCode, Mark
from services.notify import domain
from services.notify.api import masked
from services.notify.domain import Fact, Outcome, Reason, Recipient, Result, Says, State
from tests.notify.facts import published, withdrawn


def fact(score: int | None) -> Fact:
    event = withdrawn() if score is None else published(str(score))
    found = domain.fact_of(event.TYPE, UUID(new_id()), event.model_dump_json().encode())
    assert found is not None
    return found


@dataclass
class Thread:
    """A thread as the queue keeps it, in a few lines."""

    told: Fact | None = None
    leaving: Fact | None = None
    waiting: Fact | None = None
    letters: list[Says] = field(default_factory=list)

    def claim(self) -> None:
        if self.leaving is None and self.waiting is not None:
            said = domain.to_say(self.told, self.waiting)
            if isinstance(said, Says):
                self.leaving = self.waiting
            self.waiting = None

    def settle(self, result: Result) -> None:
        if self.leaving is None:
            return
        step = domain.after(Outcome(1, result, "why"), 1, 9, 0.5)
        if step.state is State.SENT:
            self.letters.append(self._sent(self.leaving))
        elif step.state is State.QUEUED:
            self.waiting = self.waiting or self.leaving
        if step.state is not State.SENDING:
            self.leaving = None

    def _sent(self, leaving: Fact) -> Says:
        said = domain.to_say(self.told, leaving)
        assert isinstance(said, Says)
        self.told = leaving
        return said


STEPS = st.lists(
    st.one_of(
        st.sampled_from([None, 8, 9]).map(lambda score: ("fact", score)),
        st.just(("claim", None)),
        st.sampled_from([Result.SENT, Result.AGAIN, Result.UNKNOWN]).map(lambda result: ("settle", result)),
    ),
    max_size=14,
)


@given(STEPS)
def test_what_is_told_comes_to_what_is_true_and_never_twice_the_same(steps: list[tuple[str, object]]) -> None:
    thread, truth = Thread(), None
    for what, detail in steps:
        if what == "fact":
            assert detail is None or isinstance(detail, int)
            truth = thread.waiting = fact(detail)
        elif what == "claim":
            thread.claim()
        else:
            assert isinstance(detail, Result)
            thread.settle(detail)
    while thread.waiting or thread.leaving:
        thread.claim()
        thread.settle(Result.SENT)
    told = thread.told.mark if thread.told else None
    assert told == (truth.mark if truth else None)
    following = {Says.NEW: (Says.CORRECTED, Says.WITHDRAWN), Says.CORRECTED: (Says.CORRECTED, Says.WITHDRAWN),
                 Says.WITHDRAWN: (Says.NEW,)}  # fmt: skip
    assert thread.letters[:1] in ([], [Says.NEW])
    assert all(b in following[a] for a, b in zip(thread.letters, thread.letters[1:], strict=False))


def test_a_comment_or_a_code_is_something_new_and_the_same_mark_is_not() -> None:
    told = fact(9)
    for mark in (Mark(score=Decimal(9), comment="Bien"), Mark(code=GradeCode.ABSENT)):
        other = published(mark=mark)
        changed = domain.fact_of(other.TYPE, UUID(new_id()), other.model_dump_json().encode())
        assert changed is not None
        assert domain.to_say(told, changed) is Says.CORRECTED
    assert domain.to_say(told, fact(9)) is Reason.NOTHING_NEW


@given(st.booleans(), st.booleans(), st.sampled_from([None, "", "a@exemple.fr"]), st.booleans(), st.booleans())
def test_only_who_may_and_wants_and_can_be_reached_is_told(
    right: bool, ended: bool, address: str | None, channel: bool, category: bool
) -> None:
    told = domain.hindrance(Recipient(right, ended, address, channel, category)) is None
    assert told == (right and not ended and bool(address) and channel and category)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_are_bounded_and_never_none(attempts: int, chance: float) -> None:
    assert 1.6 <= domain.pause(attempts, chance) <= 1.21 * domain.LONGEST_PAUSE_SECONDS


@given(st.sampled_from([result for result in Result if result is not Result.NOT_BEGUN]), st.integers(1, 30))
def test_every_message_is_settled_within_its_attempts(result: Result, attempts: int) -> None:
    step = domain.after(Outcome(1, result, "smtp-451"), attempts, 24, 0.5)
    assert (step.state in (State.SENT, State.FAILED)) == (result in (Result.SENT, Result.REFUSED) or attempts >= 24)


@given(st.integers(1, 30))
def test_what_was_not_begun_was_no_attempt(attempts: int) -> None:
    step = domain.after(Outcome(1, Result.NOT_BEGUN), attempts, 24, 0.5)
    assert (step.state, step.seconds, step.attempt) == (State.QUEUED, 0, False)


@pytest.mark.parametrize(("address", "shown"), [("marie@exemple.fr", "m…@exemple.fr"), ("x@y", "x…@y")])
def test_an_address_is_shown_to_its_owner_alone(address: str, shown: str) -> None:
    assert masked(address) == shown
