"""The drawing of an average: its points stand where they should, whatever they are."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.portal.plot import BOTTOM, HEIGHT, HIGHEST, LEFT, RIGHT, TOP, WIDTH, Frame, Plot, Point, frame, plot

TERM = (date(2026, 9, 1), date(2026, 12, 1))
days = st.dates(date(2026, 7, 1), date(2027, 8, 31))
points = st.lists(st.builds(Point, days, st.decimals(0, 20, places=2)), min_size=1, max_size=80)


def drawn(given_points: list[Point], within: Frame | None = None) -> Plot:
    made = plot(given_points, within or frame(*TERM, [given_points]))
    assert made is not None
    return made


@given(points)
def test_everything_stands_in_the_drawing(evolution: list[Point]) -> None:
    made = drawn(evolution)
    assert len(made.dots) == len(evolution)
    for dot in made.dots:
        assert LEFT <= dot.x <= RIGHT
        assert TOP <= dot.y <= BOTTOM
    assert all(LEFT <= month.x <= WIDTH - 20 for month in made.months)
    assert all(TOP <= level.y <= BOTTOM for level in made.levels)
    assert 20 <= made.label_x <= WIDTH - 20
    assert 10 <= made.label_y <= HEIGHT


@given(points)
def test_days_go_right_and_averages_up(evolution: list[Point]) -> None:
    dots = drawn(evolution).dots
    assert [dot.x for dot in dots] == sorted(dot.x for dot in dots)
    for one, other in pairwise(dots):
        if one.point.average < other.point.average:
            assert one.y >= other.y


@given(points)
def test_axes_are_labelled_apart_and_reach_beyond_every_average(evolution: list[Point]) -> None:
    made = drawn(evolution)
    assert made.levels[0].average <= min(point.average for point in evolution)
    assert (made.levels[-1].average, made.levels[-1].y) == (HIGHEST, TOP)
    assert made.levels[0].y == BOTTOM
    places = [month.x for month in made.months]
    assert places
    assert all(later - earlier >= 40 for earlier, later in pairwise(places))


def test_no_point_is_no_drawing() -> None:
    assert plot([], frame(*TERM, [])) is None


def test_one_point_is_a_dot_without_a_line() -> None:
    made = drawn([Point(TERM[0], Decimal("12.5"))])
    assert made.line == ""
    assert len(made.marked) == 1


@given(days, st.lists(st.decimals(0, 20, places=2), min_size=2, max_size=5))
def test_points_of_one_day_stand_above_one_another(on: date, averages: list[Decimal]) -> None:
    made = drawn([Point(on, average) for average in averages])
    assert len({dot.x for dot in made.dots}) == 1
    assert [dot.point.average for dot in made.dots] == averages


def test_a_terms_first_day_has_a_width() -> None:
    made = frame(TERM[0], TERM[0], [])
    assert made.last - made.first >= timedelta(days=14)


def test_of_many_points_the_first_and_the_last_are_marked() -> None:
    evolution = [Point(TERM[0] + timedelta(days=n), Decimal(10)) for n in range(60)]
    made = drawn(evolution)
    assert [dot.point for dot in made.marked] == [evolution[0], evolution[-1]]
    assert made.line.count(",") == 60


def test_drawings_of_one_frame_compare() -> None:
    high, low = [Point(TERM[0], Decimal(18))], [Point(TERM[0], Decimal(7))]
    within = frame(*TERM, [high, low])
    assert within.lowest == 5
    assert drawn(high, within).levels == drawn(low, within).levels


def test_months_are_where_they_begin() -> None:
    made = drawn([Point(TERM[0], Decimal(12))])
    assert [month.day for month in made.months] == [date(2026, month, 1) for month in (9, 10, 11)]
