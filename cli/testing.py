"""`preau test`: the test suite."""

from __future__ import annotations

import os
import sys

import typer

from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.home import CHECKOUT

TWO_AT_A_TIME = ("-n", "2", "--dist", "loadscope")
"""Most tests wait for servers; more than two whole sets of servers would only wait for one another."""

FULL_FAULTS = ("--faults", "full")
FAULTS_ALONE = ("tests/faults", *FULL_FAULTS)


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("test", context_settings=passed_on)(test)


def test(context: typer.Context) -> None:
    """Run the tests; every argument goes to pytest. Without any, all of them, two at a time.

    `--faults full` alone runs what the faults are, at full length: up to 40 minutes.
    """
    arguments = FAULTS_ALONE if tuple(context.args) == FULL_FAULTS else context.args or TWO_AT_A_TIME
    try:
        fetch_jars()
    except JarsUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606
