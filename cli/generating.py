"""`preau generate`: made-up data sets as a school information system would write them, the same from the same seed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from bench.counties import oneroster
from bench.counties.making import make
from bench.counties.model import Plan
from bench.counties.summary import Summary
from cli.demo_school import current_school_year

app = typer.Typer(help="Write made-up data sets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `county` a subcommand while it is the only one."""


@app.command()
def county(
    seed: Annotated[int, typer.Option(help="The same seed makes the same county.")],
    schools: Annotated[int, typer.Option(help="Number of collèges.")] = 100,
    pupils: Annotated[int, typer.Option(help="Number of pupils in all.")] = 54_000,
    school_year: Annotated[
        int | None, typer.Option(help="Year in which the school year ends; default: the current one.")
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write into.")] = Path(),
) -> None:
    """Write county.zip, a OneRoster 1.2 bulk package, and county.json: its counts, and whom to look at in it."""
    year = school_year or current_school_year(datetime.now(ZoneInfo("Europe/Paris")).date())
    try:
        plan = Plan(seed, year, schools, pupils)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    package = out / "county.zip"
    summary = Summary(plan)
    oneroster.write(plan, summary.watch(make(plan)), package)
    text = json.dumps(summary.as_dict(), ensure_ascii=False, indent=1)
    (out / "county.json").write_text(f"{text}\n", encoding="utf-8")
    typer.echo(f"Wrote {package}: {summary.as_dict()['counts']['pupils']} pupils in {schools} schools.")
    typer.echo(f"Import it with `preau import oneroster {package} --authority {','.join(oneroster.AUTHORITY)}`.")
