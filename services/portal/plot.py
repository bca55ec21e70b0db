"""An average over a term as a line in a drawing: where its points, its line and its axes stand. Pure geometry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

WIDTH, HEIGHT = 340, 190
"""The drawing's size in its own units: about a phone's pixels, so that labels keep their size there."""
LEFT, RIGHT, TOP, BOTTOM = 30, 322, 26, 160
"""The frame within which points stand; around it is room for labels."""

HIGHEST = 20
_STEP = 5
_SHORTEST = timedelta(days=14)
_MOST_MONTHS = 5
_MOST_MARKED = 24
_LABEL_HALF = 24
_LABEL_APART = 44


@dataclass(frozen=True, slots=True)
class Point:
    """What is drawn: an average, and the day on which it was reached."""

    on: date
    average: Decimal


@dataclass(frozen=True, slots=True)
class Frame:
    """What the axes span: the days from left to right, and averages from `lowest` to 20."""

    first: date
    last: date
    lowest: int


@dataclass(frozen=True, slots=True)
class Dot:
    """A point, and where it stands."""

    x: float
    y: float
    point: Point


@dataclass(frozen=True, slots=True)
class Level:
    """A line across, at an average."""

    y: float
    average: int


@dataclass(frozen=True, slots=True)
class Month:
    """Where a month begins, or the first day of a frame without any."""

    x: float
    day: date


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing of at least one point; `marked` are the dots to draw, and the last of them bears a label."""

    dots: tuple[Dot, ...]
    marked: tuple[Dot, ...]
    line: str
    levels: tuple[Level, ...]
    months: tuple[Month, ...]
    label_x: float
    label_y: float


def frame(starts: date, ends: date, evolutions: Iterable[Sequence[Point]]) -> Frame:
    """One frame for several drawings, so that they compare: the days named, and every point.

    Averages begin at the multiple of five below them all, yet at ten at the highest: a small step never looks like a leap.
    """
    points = [point for evolution in evolutions for point in evolution]
    first = min([starts, *(point.on for point in points)])
    last = max([ends, first + _SHORTEST, *(point.on for point in points)])
    lowest = min([HIGHEST // 2, *(int(point.average) // _STEP * _STEP for point in points)])
    return Frame(first, last, max(lowest, 0))


def plot(points: Sequence[Point], within: Frame) -> Plot | None:
    """The drawing of an evolution; None where there is no point."""
    if not points:
        return None
    dots = tuple(Dot(_x(p.on, within), _y(p.average, within), p) for p in sorted(points, key=lambda p: p.on))
    last = dots[-1]
    return Plot(
        dots=dots,
        marked=dots if len(dots) <= _MOST_MARKED else (dots[0], last),
        line=" ".join(f"{dot.x:g},{dot.y:g}" for dot in dots) if len(dots) > 1 else "",
        levels=tuple(Level(_y(Decimal(n), within), n) for n in range(within.lowest, HIGHEST + 1, _STEP)),
        months=_months(within),
        label_x=min(max(last.x, LEFT + _LABEL_HALF), WIDTH - _LABEL_HALF),
        label_y=last.y - 10,
    )


def _x(on: date, within: Frame) -> float:
    return round(LEFT + (RIGHT - LEFT) * ((on - within.first) / (within.last - within.first)), 1)


def _y(average: Decimal, within: Frame) -> float:
    share = (float(average) - within.lowest) / (HIGHEST - within.lowest)
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)


def _months(within: Frame) -> tuple[Month, ...]:
    """The months that begin in a frame, so few that their names stand apart, or its first day where none does."""
    begins = [day for day in _first_days(within.first) if day <= within.last]
    step = -(-len(begins) // _MOST_MONTHS) or 1
    found: list[Month] = []
    for day in begins[::step]:
        x = _x(day, within)
        if x <= WIDTH - _LABEL_HALF and (not found or x - found[-1].x >= _LABEL_APART):
            found.append(Month(x, day))
    return tuple(found) or (Month(float(LEFT), within.first),)


def _first_days(first: date) -> Iterable[date]:
    """The first days of the next two years' months, from a day on."""
    months = range(first.year * 12 + first.month - 1, first.year * 12 + first.month + 24)
    return [day for month in months if (day := date(month // 12, month % 12 + 1, 1)) >= first]
