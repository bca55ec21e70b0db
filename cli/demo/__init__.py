"""`preau demo`: the main job, live, through the public API alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Annotated

import typer

from cli.demo.outage import PARTS, is_part
from cli.demo.play import play
from cli.demo.show import Paper, Tell, lines
from cli.running_home import RunningHome
from infra.local.control import ask
from infra.local.home import Home

START_SECONDS = 300.0
"""How long a platform that is already starting may take."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    kill: Annotated[
        list[str] | None,
        typer.Option(
            help="Kill this part in mid-demo: kafka, a service, a worker as grades-2; may repeat.", metavar="PART"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the platform running if the demo started it.")] = False,
) -> None:
    """Show a teacher's grades reach the right families, live; the exit status tells whether all went well."""
    if not all(map(is_part, kill or ())):
        raise typer.BadParameter(f"no such part: one of {', '.join(PARTS)}", param_hint="--kill")
    tell = lines() if as_json else Paper()
    running, started = _up()
    try:
        tell("platform", url=running.url, started=started)
        ok = _play(running, tell, kill or [])
    finally:
        if started and not keep:
            _command("down")
    raise typer.Exit(0 if ok else 1)


def _play(running: RunningHome, tell: Tell, kill: list[str]) -> bool:
    try:
        return asyncio.run(play(running, running.operator_token(), tell, kill))
    except KeyboardInterrupt:
        typer.echo("Stopped; the withdrawn right is restored.", err=True)
        return False


def _up() -> tuple[RunningHome, bool]:
    """The platform of the home, started where it is not up; and whether it was."""
    home = Home.default()
    started = not home.taken()
    if started and _command("up", "--detach", "--port=0") != 0:
        raise typer.Exit(1)
    deadline = time.monotonic() + START_SECONDS
    while not (ask(home, "status") or {}).get("up"):
        if time.monotonic() > deadline or not home.taken():
            typer.echo("Préau is not up; `preau status` tells why.", err=True)
            raise typer.Exit(1)
        time.sleep(0.1)
    return RunningHome.of(home), started


def _command(*arguments: str) -> int:
    # Its words go to standard error: standard output is the demo's own.
    command = [sys.executable, "-P", "-m", "cli", *arguments]
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode
