"""`preau audit`: who wrote, read or was refused what at a school, asked of the public API as the operator."""

from __future__ import annotations

import asyncio
import heapq
import json
import re
from datetime import datetime
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import aiohttp
import typer

from cli.asking import why
from cli.running_home import NotUp, RunningHome
from infra.local.home import Home
from services.gateway.routing import AUDITED

_PAGE = 200
_SECONDS = 30
_UAI = re.compile(r"^[0-9]{7}[A-Z]$")
Entry = dict[str, Any]


class NotAnswered(Exception):
    """The API refused the question; the message says why."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    school: Annotated[str, typer.Option(help="UAI of the school.")],
    service: Annotated[list[str] | None, typer.Option(help="Whose trail; may repeat. All of them without it.")] = None,
    person: Annotated[str | None, typer.Option(help="Id of a person: entries by them or about them.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, as 2027-01-31 or 2027-01-31T08:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    action: Annotated[str | None, typer.Option(help="This action alone, as marks.write.")] = None,
    outcome: Annotated[str | None, typer.Option(help="done or refused.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Entries at the most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show a school's audit trail, newest first."""
    for name in service or ():
        if name not in AUDITED:
            raise typer.BadParameter(f"no such trail: one of {', '.join(AUDITED)}", param_hint="--service")
    asked = _question(school, person, since, until, action, outcome)
    try:
        running = RunningHome.of(Home.default())
        found = asyncio.run(trail(running.url, running.operator_token(), school, service or AUDITED, asked, limit))
    except NotUp as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from error
    except NotAnswered as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        for entry in found:
            typer.echo(json.dumps(entry, ensure_ascii=False))
    else:
        _print(found)


def _question(
    school: str, person: str | None, since: str | None, until: str | None, action: str | None, outcome: str | None
) -> dict[str, str]:
    if not _UAI.match(school):
        raise typer.BadParameter("a UAI is 7 digits and a letter", param_hint="--school")
    if outcome not in (None, "done", "refused"):
        raise typer.BadParameter("done or refused", param_hint="--outcome")
    given = {
        "person": _person(person),
        "since": _moment(since, "--since"),
        "until": _moment(until, "--until"),
        "action": action,
        "outcome": outcome,
    }
    return {name: value for name, value in given.items() if value is not None}


def _person(text: str | None) -> str | None:
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        raise typer.BadParameter("the id of a person", param_hint="--person") from None


def _moment(text: str | None, option: str) -> str | None:
    """A time with its offset; this machine's where none is given."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise typer.BadParameter("a time as 2027-01-31 or 2027-01-31T08:00", param_hint=option) from None


async def trail(
    url: str, token: str, school: str, services: list[str] | tuple[str, ...], asked: dict[str, str], limit: int
) -> list[Entry]:
    """The newest entries of these services that answer the question, merged by time. Raises `NotAnswered`."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        address = f"{url}/v1/schools/{school}/audit"
        found = [await _of_service(client, address, name, asked, limit) for name in services]
    return list(islice(heapq.merge(*found, key=lambda entry: str(entry["at"]), reverse=True), limit))


async def _of_service(
    client: aiohttp.ClientSession, address: str, service: str, asked: dict[str, str], limit: int
) -> list[Entry]:
    found: list[Entry] = []
    following: str | None = None
    while len(found) < limit:
        query = {**asked, "service": service, "limit": str(min(_PAGE, limit - len(found)))}
        if following is not None:
            query["before"] = following
        async with client.get(address, params=query) as answer:
            document = await answer.json(content_type=None)
            if answer.status != 200:
                raise NotAnswered(f"{service}: {why(document, answer.status)}")
        found += [{"service": service, **entry} for entry in document["entries"]]
        following = document["next"]
        if following is None:
            break
    return found


def _print(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not entries:
        typer.echo("No entry.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("at", "service", "who", "action", "what", "outcome"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        at = datetime.fromisoformat(entry["at"]).astimezone()
        what = (entry[name] for name in ("service", "caller", "action", "object", "outcome"))
        table.add_row(f"{at:%d/%m/%Y %H:%M:%S}", *what)
    Console().print(table)
