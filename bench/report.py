"""What a benchmark found: measures with their bounds, told as a table and kept as a JSON document."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from bench.machine import Client, machine, versions
from bench.rounds import ROUNDS

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a measure must keep to."""

    relation: Literal[">=", "<="]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value >= self.limit if self.relation == ">=" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"


def at_least(limit: float) -> Bound:
    """The value may not be smaller."""
    return Bound(">=", limit)


def at_most(limit: float) -> Bound:
    """The value may not be larger."""
    return Bound("<=", limit)


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: the median of its rounds, with the smallest and the largest."""

    name: str
    value: float
    unit: str
    bound: Bound | None = None
    spread: tuple[float, float] | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None where the figure is only reported."""
        return None if self.bound is None else self.bound.holds(self.value)

    def document(self) -> dict[str, Any]:
        """As it stands in the results."""
        found: dict[str, Any] = {"name": self.name, "value": round(self.value, 4), "unit": self.unit}
        found |= {"bound": None if self.bound is None else str(self.bound), "holds": self.holds}
        if self.spread is not None:
            found["spread"] = [round(value, 4) for value in self.spread]
        return found


def of_rounds(name: str, values: Sequence[float], unit: str, bound: Bound | None = None) -> Measure:
    """The median of several rounds and their spread."""
    return Measure(name, statistics.median(values), unit, bound, (min(values), max(values)))


@dataclass
class Report:
    """A benchmark's name, what it measured, and what its client used of the machine."""

    bench: str
    measures: list[Measure] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Curves for the plots: points by name."""
    client: Client = field(default_factory=Client)

    def add(self, *measures: Measure) -> None:
        """Take measures in."""
        self.measures.extend(measures)

    def close(self) -> bool:
        """Print the table, keep the document, and say whether every bound holds."""
        self._print()
        self._keep()
        return all(measure.holds is not False for measure in self.measures)

    def _print(self) -> None:
        table = Table(title=self.bench, box=None, pad_edge=False, title_justify="left")
        for heading, justify in (("measure", "left"), ("value", "right"), ("unit", "left"), ("spread", "right")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
        table.add_column("bound")
        table.add_column("")
        for m in self.measures:
            spread = "" if m.spread is None else f"{m.spread[0]:,.4g}–{m.spread[1]:,.4g}"
            told = {None: "", True: "holds", False: "MISSED"}[m.holds]
            table.add_row(m.name, f"{m.value:,.4g}", m.unit, spread, "" if m.bound is None else str(m.bound), told)
        Console(width=140).print(table)

    def _keep(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        document = {
            "bench": self.bench,
            "machine": machine(),
            "versions": versions(),
            "rounds": ROUNDS,
            "client": self.client.used(),
            "measures": [measure.document() for measure in self.measures],
            "series": self.series,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (RESULTS / f"{self.bench}.json").write_text(text + "\n", encoding="utf-8")
