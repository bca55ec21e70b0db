"""`preau test`: the test suite."""

from __future__ import annotations

import os
import sys

import typer

from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.home import CHECKOUT

TWO_AT_A_TIME = ("-n", "2", "--dist", "loadscope")
"""Most tests wait for servers; more than two whole sets of servers would only wait for one another."""

OWN_OPTIONS = ("--backends",)
"""Options of this suite that choose no tests; each has a value, after `=` or as the next argument."""
FULL_FAULTS = ("--faults", "full")
FAULTS_ALONE = ("tests/faults", *FULL_FAULTS)


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("test", context_settings=passed_on)(test)


def test(context: typer.Context) -> None:
    """Run the tests; every argument goes to pytest. Without any but `--backends`, all of them, two at a time.

    `--faults full` alone runs what the faults are, at full length: up to 40 minutes.
    """
    try:
        fetch_jars()
    except JarsUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *_arguments(context.args)])  # noqa: S606


def _arguments(given: list[str]) -> list[str]:
    """What pytest is told: two workers, or the faults alone, unless more is asked than on what to run the tests."""
    pairs = list(zip(given, ["", *given], strict=False))
    own = [one for one, before in pairs if _is_own(one) or before in OWN_OPTIONS]
    others = tuple(one for one, before in pairs if not _is_own(one) and before not in OWN_OPTIONS)
    if others == FULL_FAULTS:
        return [*FAULTS_ALONE, *own]
    return given if others else [*TWO_AT_A_TIME, *given]


def _is_own(argument: str) -> bool:
    return argument.partition("=")[0] in OWN_OPTIONS
