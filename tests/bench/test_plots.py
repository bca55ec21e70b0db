"""The pictures of results: drawn of what there is, the same bytes from the same figures, a missed bound told from a kept one."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import plots
from bench.report import Measure, at_least, at_most


def result(*measures: Measure, **series: list[tuple[float, float]]) -> dict[str, Any]:
    """A benchmark's results as they are kept."""
    return {"measures": [measure.document() for measure in measures], "series": series}


STREAM = result(
    Measure("1,000 connections: floor", 100_000, "frames/s"),
    Measure("1,000 connections: one by one", 90_000, "frames/s"),
    Measure("1,000 connections: a burst", 1_234_567, "frames/s"),
    Measure("1,000 connections: one by one to the floor's", 0.9, "×", at_least(0.7)),
    Measure("lost", 0, "", at_most(0)),
)


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    assert [file.name for file in plots.draw({"stream": STREAM}, tmp_path)] == ["bench-bounds.svg", "bench-stream.svg"]
    assert plots.draw({}, tmp_path) == []


def test_the_same_results_are_the_same_picture_and_say_the_figures(tmp_path: Path) -> None:
    first = {file.name: file.read_bytes() for file in plots.draw({"stream": STREAM}, tmp_path)}
    assert {file.name: file.read_bytes() for file in plots.draw({"stream": STREAM}, tmp_path)} == first
    drawn = ElementTree.fromstring(first["bench-stream.svg"])
    assert "1,234,567" in "".join(drawn.itertext())


@pytest.mark.parametrize(("value", "margin"), [(1.4, 2.0), (0.35, 0.5)])
def test_a_bound_is_kept_so_many_times_over(tmp_path: Path, value: float, margin: float) -> None:
    at_the_least = result(Measure("ratio", value, "×", at_least(0.7)))
    at_the_most = result(Measure("delay", 10 / margin, "ms", at_most(10)))
    for found in (at_the_least, at_the_most):
        (file,) = plots.draw({"some": found}, tmp_path)
        text = file.read_text(encoding="utf-8")
        assert f"{margin:.2g} ×" in "".join(ElementTree.fromstring(text).itertext())
        assert (plots.MISSED in text) is (margin < 1)
        assert (plots.HOLDS in text) is (margin >= 1)


def test_curves_of_growth_and_of_delays_are_drawn(tmp_path: Path) -> None:
    curve = [(1.0, 2.0), (50.0, 4.0), (99.0, 9.0)]
    results = {
        "latency": result(**{"20 items/s": curve, "20 items/s: floor": curve}),
        "growth": result(**{"a page": [(10_000.0, 2.0), (1_000_000.0, 2.4)]}),
    }
    assert [file.name for file in plots.draw(results, tmp_path)] == ["bench-latency.svg", "bench-growth.svg"]
