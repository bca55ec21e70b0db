"""`preau test`: the test suite."""

from __future__ import annotations

import os
import sys

import typer

from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.home import CHECKOUT


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("test", context_settings=passed_on)(test)


def test(context: typer.Context) -> None:
    """Run the tests; every argument goes to pytest."""
    try:
        fetch_jars()
    except JarsUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *context.args])  # noqa: S606
