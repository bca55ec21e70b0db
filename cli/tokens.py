"""`preau token`: a token for a named account, made by the operator through the public API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.asking import NotMade, make
from cli.running_home import NotUp, RunningHome
from infra.local.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(token)


def token(
    account: Annotated[str, typer.Option(help="Login of the account the token is for.")],
    name: Annotated[str, typer.Option(help="What the token is for; its owner sees it.")] = "command line",
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it is good for.")] = 1,
) -> None:
    """Print a token for an account; programs send it as `Authorization: Bearer …`."""
    try:
        running = RunningHome.of(Home.default())
        typer.echo(asyncio.run(make_token(running.url, running.operator_token(), account, name, days * 86400)))
    except (NotUp, NotMade) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


async def make_token(url: str, operator_token: str, account: str, name: str, expires_in: int) -> str:
    """Ask the gateway for a token; `expires_in` in seconds. Raises `NotMade`."""
    body = {"account": account, "name": name, "expires_in": expires_in}
    made: str = (await make(url, operator_token, "/v1/tokens", body))["token"]
    return made
