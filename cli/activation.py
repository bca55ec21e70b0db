"""`preau activation-code`: one-time codes for people of the directory, made by the operator through the public API."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import aiohttp
import typer

from cli.running_home import NotUp, RunningHome
from infra.local.home import Home

_SECONDS = 30


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("activation-code")(activation_code)


def activation_code(
    people: Annotated[list[UUID], typer.Argument(help="Ids of the people; each one's former code ends.")],
) -> None:
    """Print each person's activation code: with it they make an account, or link who a provider says they are."""
    try:
        running = RunningHome.of(Home.default())
        made = asyncio.run(_make(running.url, running.operator_token(), people))
    except (NotUp, CodesRefused) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for person, code in made:
        typer.echo(f"{person} {code}")


class CodesRefused(Exception):
    """The gateway made no codes; the message says why."""


async def _make(url: str, operator_token: str, people: list[UUID]) -> list[tuple[str, str]]:
    headers = {"Authorization": f"Bearer {operator_token}"}
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as client,
        client.post(f"{url}/v1/activation-codes", json={"people": [str(one) for one in people]}) as answer,
    ):
        document = await answer.json(content_type=None)
        if answer.status != 201:
            rules = "; ".join(f"{e['field']}: {e['message']}" for e in document.get("errors", ()))
            raise CodesRefused(f"{document.get('title', answer.status)}{f' ({rules})' if rules else ''}")
    return [(one["person"], one["code"]) for one in document["items"]]
