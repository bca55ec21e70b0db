"""`preau prepare` and `operator-token`: what a deployment needs before its services start, and who may begin to use it."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from infra.local.databases import DatabaseFailed
from infra.local.given import BadServers, Given


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(prepare)
    app.command()(operator_token)


def prepare(
    databases: Annotated[
        str,
        typer.Option(
            envvar="PREAU_DATABASES",
            help="JSON object, service -> the database URL it is given: its role, password and database are made.",
        ),
    ] = "{}",
) -> None:
    """Make roles and databases on PREAU_POSTGRES_URL and topics on PREAU_KAFKA, where they are missing; drop nothing."""
    try:
        given, urls = Given.of(), _urls(databases)
        if not (given.postgres_url or given.kafka):
            raise BadServers("PREAU_POSTGRES_URL, PREAU_KAFKA: neither says where to prepare anything")
        if given.postgres_url:
            given.create_databases(urls)
        if given.kafka:
            given.create_topics()
    except (BadServers, DatabaseFailed) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo("All is there.")


def operator_token(
    gateway: Annotated[
        str, typer.Option("--database-url", envvar="PREAU_DATABASE_URL", help="The gateway's database.")
    ],
) -> None:
    """Print a new token of a year for the operator's account; the gateway must have been up once."""
    from cli.running_home import made_operator_token

    typer.echo(asyncio.run(made_operator_token(gateway)))


def _urls(databases: str) -> list[str]:
    try:
        given = json.loads(databases)
        return [str(url) for url in given.values()]
    except (ValueError, AttributeError) as error:
        raise BadServers("PREAU_DATABASES: expected a JSON object, service -> database URL") from error
