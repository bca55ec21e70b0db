"""The pictures of what benchmarks found, drawn from bench/results into docs/images; what was not measured is left out.

python -m bench.plots
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report import RESULTS
from infra.local.home import CHECKOUT

IMAGES = CHECKOUT / "docs" / "images"
# Read on white and on black paper: a grey as far from one as from the other, and nothing behind it.
_INK = "#797979"
_OURS, _FLOOR, HOLDS, MISSED = "#3d85c6", "#9a9a9a", "#2f9e6e", "#d1495b"
_LINES = (_OURS, "#d98032", HOLDS, "#9b6fc4", MISSED, "#b59f3b")
_WIDTH = 8.0
_LONGEST_NAME = 62
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlecolor": _INK,
    "font.size": 10,
    "grid.alpha": 0.3,
    "grid.color": _INK,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    # The same results give the same bytes.
    "svg.hashsalt": "preau",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}

Result = dict[str, Any]
Results = dict[str, Result]


def read(folder: Path = RESULTS) -> Results:
    """The newest results of every benchmark that has some, by its name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def values(result: Result) -> dict[str, float]:
    """Each measure's value by its name."""
    return {measure["name"]: measure["value"] for measure in result["measures"]}


# Parts of a picture


def _figure(height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    return figure, axes


def _bars(axes: Axes, rows: Sequence[tuple[str, float, str]], unit: str) -> None:
    """Horizontal bars, the first on top: what, how much, in which colour."""
    names, lengths, colors = zip(*reversed(rows), strict=True)
    drawn = axes.barh(names, lengths, color=colors, height=0.65)
    axes.bar_label(drawn, [f"{length:,.0f}" for length in lengths], padding=4, color=_INK)
    axes.set_xlabel(unit)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


# Pictures


def bounds(results: Results) -> Figure | None:
    """Every measure that has a bound, by how many times it keeps it."""
    rows = [
        (f"{name}: {measure['name']}", margin, HOLDS if measure["holds"] else MISSED)
        for name, result in reversed(results.items())
        for measure in reversed(result["measures"])
        if (margin := _margin(measure)) is not None
    ]
    if not rows:
        return None
    figure, axes = _figure(0.9 + 0.27 * len(rows), "Every bound, and how many times over it is kept")
    for height, (_, margin, color) in enumerate(rows):
        axes.plot([1, margin], [height, height], "o-", color=color, linewidth=2, markevery=[1])
        away, side = (7, "left") if margin >= 1 else (-7, "right")
        axes.annotate(f"{margin:.2g} ×", (margin, height), (away, -3), textcoords="offset points", ha=side, fontsize=8)
    axes.axvline(1, color=_INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [_short(name) for name, _, _ in rows], fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ×")
    axes.margins(x=0.12)
    axes.set_xlabel("right of the line it holds (green), left of it it is missed (red)")
    return figure


def _margin(measure: dict[str, Any]) -> float | None:
    """How many times over a bound is kept; None without one, and where none of something is wanted: that has no times."""
    relation, _, limit = (measure["bound"] or ">= 0").partition(" ")
    if not float(limit) or not measure["value"]:
        return None
    ratio = measure["value"] / float(limit)
    return float(ratio if relation == ">=" else 1 / ratio)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def stream(results: Results) -> Figure | None:
    """Frames a second of one gateway process."""
    if "stream" not in results:
        return None
    found = values(results["stream"])
    rows = []
    for count in ("1,000", "10,000"):
        if f"{count} connections: floor" in found:
            rows.append((f"{count} connections: bare sockets", found[f"{count} connections: floor"], _FLOOR))
            rows.append((f"{count}: item by item", found[f"{count} connections: one by one"], _OURS))
            rows.append((f"{count}: a burst, gathered", found[f"{count} connections: a burst"], _OURS))
    figure, axes = _figure(0.9 + 0.32 * len(rows), "One gateway process: items written to open streams")
    _bars(axes, rows, "frames a second")
    return figure


def storm(results: Results) -> Figure | None:
    """Families that come back at once."""
    if "storm" not in results:
        return None
    found = values(results["storm"])
    name = "connections with all they missed"
    rows = [
        ("bare sockets", found[f"floor: {name}"], _FLOOR),
        ("one gateway process", found[f"platform: {name}"], _OURS),
    ]
    figure, axes = _figure(1.6, "5,000 families come back at once, each a hundred items behind")
    _bars(axes, rows, "families served a second")
    return figure


def pipeline(results: Results) -> Figure | None:
    """Events a second of each stage."""
    if "pipeline" not in results:
        return None
    measures = [one for one in results["pipeline"]["measures"] if one["unit"] == "events/s"]
    rows = [(m["name"], m["value"], _FLOOR if m["name"].startswith("bare") else _OURS) for m in measures]
    figure, axes = _figure(0.9 + 0.32 * len(rows), "From the outbox to the feed's database")
    _bars(axes, rows, "events a second")
    return figure


def latency(results: Results) -> Figure | None:
    """The share of grades that have arrived, by time."""
    series = results.get("latency", {}).get("series")
    if not series:
        return None
    figure, axes = _figure(3.4, "From the POST of a grade to the parent's stream")
    rates = [name for name in series if not name.endswith(": floor")]
    for rate, color in zip(rates, _LINES, strict=False):
        for name, dashes in ((rate, "-"), (f"{rate}: floor", ":")):
            percents, milliseconds = zip(*series[name], strict=True)
            axes.plot(milliseconds, percents, dashes, color=color, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("milliseconds")
    axes.set_ylabel("% arrived")
    axes.grid()
    axes.legend()
    return figure


def growth(results: Results) -> Figure | None:
    """Times as data grows, each as a multiple of its own first."""
    series = results.get("growth", {}).get("series")
    if not series:
        return None
    figure, axes = _figure(3.4, "As data grows: times, as multiples of the smallest's")
    for (name, points), color in zip(series.items(), _LINES * len(series), strict=False):
        sizes, times = zip(*points, strict=True)
        axes.plot(sizes, [time / times[0] for time in times], "o-", color=color, label=_short(name))
    axes.axhline(1.5, color=_INK, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("size")
    axes.grid()
    axes.legend(fontsize=8)
    return figure


PICTURES: dict[str, Callable[[Results], Figure | None]] = {
    "bounds": bounds,
    "latency": latency,
    "stream": stream,
    "storm": storm,
    "pipeline": pipeline,
    "growth": growth,
}
"""What is drawn, by the name of its file: `bench-NAME.svg`."""


def draw(results: Results, folder: Path = IMAGES) -> list[Path]:
    """Draw every picture there are results for; returns their files."""
    made = []
    with mpl.rc_context(_STYLE):
        for name, picture in PICTURES.items():
            figure = picture(results)
            if figure is not None:
                made.append(folder / f"bench-{name}.svg")
                figure.savefig(made[-1], metadata={"Date": None})
    return made


def main() -> bool:
    """Draw; whether there was anything to draw."""
    made = draw(read())
    for file in made:
        print(file.relative_to(CHECKOUT))
    return bool(made)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
