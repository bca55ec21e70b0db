"""`preau token`: a token for a named account, made by the operator through the public API."""

from __future__ import annotations

import asyncio
from typing import Annotated

import aiohttp
import typer

from cli.running_home import NotUp, RunningHome
from infra.local.home import Home

_SECONDS = 30


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
    except (NotUp, TokenRefused) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


class TokenRefused(Exception):
    """The gateway made no token; the message says why."""


async def make_token(url: str, operator_token: str, account: str, name: str, expires_in: int) -> str:
    """Ask the gateway for a token; `expires_in` in seconds. Raises `TokenRefused`."""
    body = {"account": account, "name": name, "expires_in": expires_in}
    headers = {"Authorization": f"Bearer {operator_token}"}
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as client,
        client.post(f"{url}/v1/tokens", json=body) as answer,
    ):
        document = await answer.json(content_type=None)
        if answer.status != 201:
            rules = "; ".join(f"{e['field']}: {e['message']}" for e in document.get("errors", ()))
            raise TokenRefused(f"{document.get('title', answer.status)}{f' ({rules})' if rules else ''}")
    made: str = document["token"]
    return made
