"""What the demo prints: for people in colour, for programs one JSON object a line; both tell the same events."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Tell = Callable[..., None]
"""Told an event's name and its fields by keyword."""


def lines() -> Tell:
    """One JSON object a line on standard output."""

    def tell(event: str, **fields: Any) -> None:
        line = {"event": event, "at": round(time.time(), 3), **fields}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return tell


class Paper:
    """For people."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def __call__(self, event: str, **fields: Any) -> None:
        """Print an event; one that has no form here is for programs alone."""
        printer = getattr(self, f"_{event}", None)
        if printer is not None:
            printer(**fields)

    def _platform(self, url: str, started: bool) -> None:
        self._console.print(f"Préau {'started' if started else 'is up'}: {url}")

    def _reader(self, name: str, sees: list[str], worker: str) -> None:
        rights = ", ".join(sees) or "nothing"
        self._console.print(f"  {name:<18} stream open at worker {worker}; may see {escape(rights)}")

    def _step(self, number: int, title: str) -> None:
        self._console.print(f"\n[bold]{number}. {escape(title)}[/]")

    def _note(self, text: str) -> None:
        self._console.print(f"  {escape(text)}", style="dim")

    def _arrival(self, reader: str, what: str, words: str, ms: float | None, **_: Any) -> None:
        after = f"{ms:7.0f} ms" if ms is not None else " " * 10
        colour = {"item": "green", "removed": "yellow"}.get(what, "cyan")
        self._console.print(f"  [{colour}]{after}  {reader:<18}[/] {escape(words or what)}")

    def _outcome(self, ok: bool, text: str, **_: Any) -> None:
        self._console.print(f"  [{'green' if ok else 'bold red'}]{'✓' if ok else '✗'} {escape(text)}[/]")

    def _verdict(self, counts: dict[str, int], delivered: int, findings: list[str], **_: Any) -> None:
        table = Table("The checker counts", title="", box=SIMPLE_HEAD)
        table.add_column("", justify="right")
        table.add_row("delivered as it should be", str(delivered))
        for name, n in counts.items():
            table.add_row(name, f"[{'green' if n == 0 else 'bold red'}]{n}[/]")
        self._console.print(table)
        for finding in findings:
            self._console.print(f"  {finding}", style="red", markup=False)

    def _mails(self, address: str, counts: dict[str, int], delivered: int, repeats: int, last: list[tuple[str, str]],
               findings: list[str], **_: Any) -> None:  # fmt: skip
        self._console.print(f"\nE-mails in the mailbox ({address}):")
        for reader, subject in last:
            self._console.print(f"  [green]✉[/] {escape(reader):<18} {escape(subject)}")
        wrong = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
        again = f", {repeats} sent once more after a crash" if repeats else ""
        colour = "bold red" if wrong else "green"
        self._console.print(f"  [{colour}]{delivered} as they should be, {wrong or 'nothing wrong'}{again}[/]")
        for finding in findings:
            self._console.print(f"  {finding}", style="red", markup=False)

    def _end(self, ok: bool, seconds: float) -> None:
        what = "Every step did what it should" if ok else "The demo found something wrong"
        self._console.print(f"\n[{'bold green' if ok else 'bold red'}]{what}[/] ({seconds:.1f} s)")
