"""The limiter of requests: what it lets pass, what it forgets, what it costs."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.activation.codes import ALPHABET, new_code, typed
from services.gateway.attempts import next_wait
from services.gateway.limiter import Limiter, Rate

RATES = st.builds(Rate, st.floats(0.1, 1000), st.integers(1, 50))
PAUSES = st.lists(st.floats(0, 5), max_size=200)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(RATES, PAUSES)
def test_never_more_than_the_burst_and_what_time_gives(rate: Rate, pauses: list[float]) -> None:
    clock = Clock()
    limiter, passed = Limiter(rate, clock=clock), []
    for pause in pauses:
        clock.now += pause
        if not limiter.wait("one"):
            passed.append(clock.now)
    for first, began in enumerate(passed):
        for last, ended in enumerate(passed[first:], first):
            assert last - first + 1 <= rate.burst + rate.per_second * (ended - began) + 1e-3


@given(RATES, PAUSES)
def test_who_waits_as_long_as_told_passes_and_time_only_gives(rate: Rate, pauses: list[float]) -> None:
    clock = Clock()
    limiter = Limiter(rate, clock=clock)
    for pause in pauses:
        before = limiter.left("one")
        clock.now += pause
        assert limiter.left("one") >= before
        left = limiter.left("one")
        wait = limiter.wait("one")
        assert (wait == 0) == (left > 0)
        if wait:
            clock.now += wait
            assert limiter.wait("one") == 0


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 10))
def test_the_table_is_bounded_and_forgets_the_quietest(clients: list[int], most: int) -> None:
    limiter = Limiter(Rate(1, 1000), most)
    for one in clients:
        limiter.wait(one)
        assert len(limiter) <= most
        assert limiter.left(one) < 1000


def test_clients_do_not_count_for_one_another() -> None:
    limiter = Limiter(Rate(1, 1), clock=Clock())
    assert [limiter.wait("a"), limiter.wait("b")] == [0, 0]
    assert limiter.wait("a") == pytest.approx(1)


def test_a_request_costs_little() -> None:
    limiter = Limiter(Rate(1e6, 1_000_000))
    assert min(timeit.repeat(lambda: limiter.wait("one"), number=1000, repeat=20)) / 1000 < 10e-6


@given(st.integers(0, 500), st.integers(1, 300), st.floats(1, 100), st.floats(100, 4000))
def test_waits_are_none_then_grow_to_their_bound(attempts: int, free: int, first: float, longest: float) -> None:
    wait, following = (next_wait(n, free, first, longest) for n in (attempts, attempts + 1))
    assert (wait == 0) == (attempts < free)
    assert wait <= following <= longest


@given(st.sampled_from(["", " ", "-", " - "]), st.booleans())
def test_a_code_is_read_however_it_is_typed(dash: str, small: bool) -> None:
    code = new_code()
    text = code.replace("-", dash)
    assert typed(text.lower() if small else text) == code.replace("-", "")
    assert set(code) <= {*ALPHABET, "-"}


@given(st.text(max_size=20))
def test_what_is_no_code_is_none(text: str) -> None:
    found = typed(text)
    assert found is None or (len(found) == 12 and set(found) <= set(ALPHABET))
