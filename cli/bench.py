"""`preau bench`: how fast the platform is beside the floor, measured in one run; fails where a bound does not hold."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated

import typer

from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.home import CHECKOUT

BENCHES = {
    "county": "a county's OneRoster package until every service knows its people, and the same again",
    "pipeline": "grades from the outbox through Kafka to the feed's database, and the relay alone",
    "write": "classes of marks posted at the gateway, nothing sent on",
    "latency": "POST of a grade at the gateway until it is on a parent's stream, hop by hop",
    "notify": "a fact on its topic until its message is accepted by a mail server, and messages a second of one process",
}
ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def _help() -> str:
    return (
        "; ".join(f"{name}: {what}" for name, what in BENCHES.items()) + f"; {ALL}: one after the other, and the plots."
    )


def bench(name: Annotated[str, typer.Argument(help=_help())]) -> None:
    """Measure, print a table, write bench/results/NAME.json; exit code 1 where a bound is missed."""
    if name not in (*BENCHES, ALL):
        typer.echo(f"There is no benchmark {name}; there are: {', '.join((*BENCHES, ALL))}.", err=True)
        raise typer.Exit(2)
    try:
        fetch_jars()
    except JarsUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    missed = [one for one in (BENCHES if name == ALL else (name,)) if not _run(one)]
    if name == ALL:
        _run("plots")
    if missed:
        typer.echo(f"Not all bounds hold: {', '.join(missed)}.", err=True)
        raise typer.Exit(1)


def _run(name: str) -> bool:
    """Each in a process of its own: what one leaves in memory is no burden to the next."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=CHECKOUT, check=False)
    typer.echo(f"{name}: {time.monotonic() - began:.0f} s\n")
    return done.returncode == 0
