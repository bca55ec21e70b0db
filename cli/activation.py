"""`preau activation-code`: one-time codes for people of the directory, made by the operator through the public API."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from cli.asking import NotMade, make
from cli.running_home import NotUp, RunningHome
from infra.local.home import Home


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
    except (NotUp, NotMade) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for person, code in made:
        typer.echo(f"{person} {code}")


async def _make(url: str, operator_token: str, people: list[UUID]) -> list[tuple[str, str]]:
    document = await make(url, operator_token, "/v1/activation-codes", {"people": [str(one) for one in people]})
    return [(one["person"], one["code"]) for one in document["items"]]
