"""`preau import`: bring a school information system's set into the directory, and say what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from chassis.database import UNREACHABLE, Database
from chassis.settings import DatabaseSettings
from cli.running_home import NotUp, RunningHome
from infra.local.home import Home
from services.directory.importing.package import Limits
from services.directory.importing.report import Counts, Report, Severity
from services.directory.importing.safety import FEW, SHARE
from services.directory.importing.usecase import Options, import_oneroster

STATEMENT_SECONDS = 300
"""An import writes in batches; no single statement takes longer than this on a sound server."""
SHOWN_PROBLEMS = 50
NEEDS_CONFIRMATION = 3
"""Exit code of a set that only the safety stop refuses."""

app = typer.Typer(help="Import a school information system's set into the directory.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `oneroster` a subcommand while it is the only one."""


def directory_database_url() -> str | None:
    """Where the directory's database is: as `PREAU_DATABASE_URL` says, else that of the running home; None if none runs."""
    given = os.environ.get("PREAU_DATABASE_URL")
    if given:
        return given
    with contextlib.suppress(NotUp):
        return RunningHome.of(Home.default()).database_url("directory")
    return None


@app.command()
def oneroster(
    file: Annotated[Path, typer.Argument(help="OneRoster 1.2 CSV package (zip), bulk.", dir_okay=False)],
    authority: Annotated[
        str,
        typer.Option(help="Family roles that carry parental authority, e.g. parent,guardian. None does by default."),
    ] = "",
    source: Annotated[str, typer.Option(help="Name of the system, when the manifest names none or another.")] = "",
    zone: Annotated[str, typer.Option(help="Time zone of the schools.")] = "Europe/Paris",
    detach_share: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Refuse a set that takes more than this share of one role, class or guardian link."
        ),
    ] = SHARE,
    detach_few: Annotated[int, typer.Option(min=0, help="So many of each kind at a school may always go.")] = FEW,
    in_full: Annotated[
        bool, typer.Option("--in-full", help="Compare even the very package that was applied last.")
    ] = False,
    confirm_detach: Annotated[
        bool, typer.Option("--confirm-detach", help="Import although the set takes more than --detach-share.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(help=f"A bound of the package, as NAME=NUMBER: {', '.join(f.name for f in fields(Limits))}."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare and report; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    wait: Annotated[
        float, typer.Option(min=1, help="Give up after this many seconds; then nothing is written.")
    ] = 1800,
    database_url: Annotated[
        str | None, typer.Option(help="The directory's database; default: the running home's.")
    ] = None,
) -> None:
    """Import a OneRoster 1.2 bulk package: all of it, or nothing when it is refused."""
    url = database_url or directory_database_url()
    if not url:
        raise typer.BadParameter("no running home: give --database-url or set PREAU_DATABASE_URL")
    roles = tuple(part.strip() for part in authority.split(",") if part.strip())
    try:
        share = 1.0 if confirm_detach else detach_share
        options = Options(roles, source, dry_run, zone, share, detach_few, limits_of(limit or []), in_full)
    except (ValueError, OSError, LookupError) as error:
        raise typer.BadParameter(str(error)) from error
    try:
        report = asyncio.run(_import(url, file, options, wait, quiet=as_json))
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        typer.echo(f"The import did not go through, nothing was written: {type(error).__name__}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False, indent=1))
    else:
        print_report(report, Console())
    raise typer.Exit(exit_code(report))


def exit_code(report: Report) -> int:
    """0 when the set went in (or would), 3 when it waits for a confirmation, 1 when it is refused otherwise."""
    if report.needs_confirmation:
        return NEEDS_CONFIRMATION
    return 1 if report.refused else 0


def limits_of(given: list[str]) -> Limits:
    """The bounds of a package with those given as NAME=NUMBER; raises `ValueError` for any other."""
    known = {f.name for f in fields(Limits)}
    changed: dict[str, int] = {}
    for one in given:
        name, _, number = one.partition("=")
        if name not in known or not number.isdecimal() or int(number) == 0:
            raise ValueError(f"not a limit: {one} (NAME=NUMBER, NAME one of {', '.join(sorted(known))})")
        changed[name] = int(number)
    return replace(Limits(), **changed)


async def run_import(url: str, file: Path, options: Options, progress: Progress | None = None) -> Report:
    """Run the import against the directory's database at `url`."""
    # An import makes millions of objects that stay until its end: to look through them for cycles often finds nothing.
    gc.set_threshold(100_000, 50, 100)
    settings = DatabaseSettings.model_validate(
        {"database_url": url, "pool_size": 2, "statement_seconds": STATEMENT_SECONDS}
    )
    database = Database(settings)
    await database.open()
    try:
        return await import_oneroster(database, file, options, _Bars(progress) if progress else None)
    finally:
        await database.close()


async def _import(url: str, file: Path, options: Options, wait: float, *, quiet: bool) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        async with asyncio.timeout(wait):
            return await run_import(url, file, options, progress)


class _Bars:
    """A bar for each stage of the import; one that does not know its end pulses."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total or None)
        self._progress.update(self._tasks[stage], completed=done)


def print_report(report: Report, console: Console) -> None:
    """Print a report: counts per kind, then the problems, refusals first, and where the directory stands."""
    names = list(Counts().as_dict())
    title = "Dry run: nothing was written" if report.dry_run else "Import"
    table = Table("", *names, title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    for kind, counts in report.counts.items():
        table.add_row(kind, *(str(count or "") for count in counts.as_dict().values()))
    console.print(table)
    _print_problems(report, console)
    _print_detaching(report, console)
    if report.dry_run and report.changes:
        console.print(f"Would change, the first {len(report.changes)}:")
        for what, key in report.changes:
            console.print(f"  {what} {key}", markup=False, highlight=False)
    if report.needs_confirmation:
        console.print("Stopped, nothing was written. If the figures are right, run again with --confirm-detach.")
    elif report.refused:
        console.print("The set was refused; nothing was written.")
    elif report.position is not None:
        console.print(f"Directory position: {report.position}")


def _print_detaching(report: Report, console: Console) -> None:
    stopped = [d for d in report.detaching if d.refused]
    for d in stopped[:SHOWN_PROBLEMS]:
        console.print(f"{d.uai}: {d.lost} of {d.of} would lose their place ({d.kind}), {d.lost / d.of:.0%}")
    if len(stopped) > SHOWN_PROBLEMS:
        console.print(f"and {len(stopped) - SHOWN_PROBLEMS} more (--json shows all)")


def _print_problems(report: Report, console: Console) -> None:
    order = list(Severity)
    shown = sorted(report.problems, key=lambda p: order.index(p.severity))[:SHOWN_PROBLEMS]
    for p in shown:
        record = "" if p.record is None else f" record {p.record}"
        named = "".join(f" {part}" for part in (p.id, p.field) if part)
        console.print(f"{p.severity}: {p.code}: {p.file}{record}{named}", markup=False, highlight=False)
    if report.codes.total() > len(shown):
        counts = ", ".join(f"{code} {count}" for code, count in sorted(report.codes.items()))
        console.print(f"{report.codes.total()} problems in all: {counts}", markup=False, highlight=False)
