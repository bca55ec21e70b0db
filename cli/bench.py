"""`preau bench`: how fast the platform is beside the floor, measured in one run; fails where a bound does not hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Annotated

import typer

from bench.rounds import VARIABLE as ROUNDS
from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.home import CHECKOUT

BENCHES = {
    "stream": "items to the open streams of one gateway process: to all, in a burst, to single families; memory",
    "storm": "five thousand families who come back at once, each a hundred items behind",
    "county": "a county's OneRoster package until every service knows its people, and the same again",
    "pipeline": "grades from the outbox through Kafka to the feed's database, and the relay alone",
    "growth": "pages, catch-up, claims, guard and grades while ever more is kept",
    "write": "classes of marks posted at the gateway, nothing sent on",
    "latency": "POST of a grade at the gateway until it is on a parent's stream, hop by hop",
    "notify": "a fact on its topic until its message is accepted by a mail server, and messages a second of one process",
}
"""What can be measured, in the order of `all`."""
ALL, PLOTS = "all", "plots"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def _help() -> str:
    told = [f"{name}: {what}" for name, what in BENCHES.items()]
    return "; ".join(
        [*told, f"{PLOTS}: the pictures, of the results there are", f"{ALL}: one after the other, and {PLOTS}."]
    )


def bench(
    name: Annotated[str, typer.Argument(help=_help())],
    rounds: Annotated[
        int, typer.Option(min=1, max=20, help="How often floor and platform alternate; 1 for a quick look.")
    ] = 3,
) -> None:
    """Measure, print a table, write bench/results/NAME.json; exit code 1 where a bound is missed."""
    if name not in (*BENCHES, PLOTS, ALL):
        typer.echo(f"There is no benchmark {name}; there are: {', '.join((*BENCHES, PLOTS, ALL))}.", err=True)
        raise typer.Exit(2)
    if name != PLOTS:
        _fetch_jars()
    began = time.monotonic()
    missed = [one for one in ((*BENCHES, PLOTS) if name == ALL else (name,)) if not _run(one, rounds)]
    if name == ALL:
        typer.echo(f"All: {(time.monotonic() - began) / 60:.1f} minutes")
    if missed:
        typer.echo(f"Not all bounds hold: {', '.join(missed)}.", err=True)
        raise typer.Exit(1)


def _fetch_jars() -> None:
    try:
        fetch_jars()
    except JarsUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _run(name: str, rounds: int) -> bool:
    """Each in a process of its own: what one leaves in memory is no burden to the next."""
    began = time.monotonic()
    environment = {**os.environ, ROUNDS: str(rounds)}
    done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=CHECKOUT, env=environment, check=False)
    typer.echo(f"{name}: {time.monotonic() - began:.0f} s\n")
    return done.returncode == 0
