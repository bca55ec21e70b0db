"""`preau dlq`: the keys that a poison event parked; show what they hold, replay or discard it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from chassis import dead_letters
from chassis.database import Connection
from chassis.dead_letters import Letter, NotReleased, ParkedKey
from cli.running_home import NotUp, RunningHome
from cli.topics import running_with_kafka
from infra.local.system import WITH_DATABASE

app = typer.Typer(no_args_is_help=True, help="Keys parked by a poison event: list, show, replay, discard.")
_AGAIN_SECONDS = 4.0
"""How long a key that is still poison takes to be parked again, and a little more."""
_Result = TypeVar("_Result")

Service = Annotated[str, typer.Argument(help="Service whose consumer parked the key.")]
Consumer = Annotated[str, typer.Argument(help="Consumer, as `list` shows it.")]
Source = Annotated[str, typer.Argument(help="Source of the events, as `list` shows it.")]
Key = Annotated[str, typer.Argument(help="The key.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


class NotParked(Exception):
    """No such key is parked."""


@app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the parked keys of all services."""
    found = _run(_all_parked(_running()))
    if as_json:
        rows = [{"service": service, **asdict(key), "since": key.since.isoformat()} for service, key in found]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not found:
        typer.echo("No key is parked.")
    else:
        _print_keys(found)


@app.command()
def show(
    key: Key,
    data: Annotated[bool, typer.Option("--data", help="The events' data too: it may be personal.")] = False,
) -> None:
    """Show the dead letters of a parked key."""
    for service, parked, letters in _run(_letters(_running(), key)):
        typer.echo(f"{service} {parked.consumer} {parked.source} {parked.key}: {parked.events} events")
        for letter in letters:
            _print_letter(letter, data=data)


@app.command()
def replay(service: Service, consumer: Consumer, source: Source, key: Key, yes: Yes = False) -> None:
    """Put a parked key's events back through their consumer, in order, before anything newer of the key."""
    running = _running()
    if not yes:
        typer.confirm(f"Replay {key} through {consumer}? Do it once what it failed by is mended.", abort=True)
    number, again = _run(_replay(running, service, (consumer, source, key)))
    typer.echo(f"Replayed {number} events of {key}.")
    if again:
        typer.echo(f"The key was parked again: {again.reason}.", err=True)
        raise typer.Exit(1)


@app.command()
def discard(service: Service, consumer: Consumer, source: Source, key: Key, yes: Yes = False) -> None:
    """Drop a parked key's events for this consumer, and let newer ones through."""
    running = _running()
    parked = _run(_parked_key(running, service, (consumer, source, key)))
    if not yes:
        typer.confirm(f"Drop {parked.events} events of {key}? {consumer} will never have seen them.", abort=True)
    _run(_discard(running, service, parked))
    typer.echo(f"Dropped the events of {key}; newer ones go through.")


def _running() -> RunningHome:
    try:
        return running_with_kafka()
    except NotUp as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from error


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        return asyncio.run(work)
    except (NotParked, NotReleased) as error:
        message = str(error)
    except (OSError, KafkaError, asyncpg.PostgresError) as error:
        message = f"PostgreSQL or Kafka did not do it ({type(error).__name__}); nothing was released. Try again."
    typer.echo(message, err=True)
    raise typer.Exit(1)


@asynccontextmanager
async def _database(running: RunningHome, service: str) -> AsyncIterator[Connection]:
    if service not in WITH_DATABASE:
        raise NotParked(f"{service} has no database; services are {', '.join(WITH_DATABASE)}.")
    connection = await asyncpg.connect(running.database_url(service), timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def _all_parked(running: RunningHome) -> list[tuple[str, ParkedKey]]:
    found = []
    for service in WITH_DATABASE:
        async with _database(running, service) as connection:
            found += [(service, key) for key in await dead_letters.parked(connection)]
    return found


async def _letters(running: RunningHome, key: str) -> list[tuple[str, ParkedKey, list[Letter]]]:
    wanted = [(service, parked) for service, parked in await _all_parked(running) if parked.key == key]
    if not wanted:
        raise NotParked(f"{key} is not parked; `preau dlq list` shows what is.")
    found = []
    for service, parked in wanted:
        async with _database(running, service) as connection:
            letters = await dead_letters.letters_of(connection, running.kafka, service, parked)
        found.append((service, parked, letters))
    return found


async def _find(connection: Connection, name: tuple[str, str, str]) -> ParkedKey | None:
    rows = await dead_letters.parked(connection)
    return next((row for row in rows if (row.consumer, row.source, row.key) == name), None)


async def _parked_key(running: RunningHome, service: str, name: tuple[str, str, str]) -> ParkedKey:
    async with _database(running, service) as connection:
        parked = await _find(connection, name)
    if parked is None:
        raise NotParked(f"{' '.join(name)} is not parked in {service}; `preau dlq list` shows what is.")
    return parked


async def _replay(running: RunningHome, service: str, name: tuple[str, str, str]) -> tuple[int, ParkedKey | None]:
    parked = await _parked_key(running, service, name)
    async with _database(running, service) as connection:
        number = await dead_letters.replay(connection, running.kafka, service, parked)
        again = await _find_within(connection, name, _AGAIN_SECONDS)
    return number, again


async def _find_within(connection: Connection, name: tuple[str, str, str], seconds: float) -> ParkedKey | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await _find(connection, name):
            return found
        await asyncio.sleep(0.2)
    return None


async def _discard(running: RunningHome, service: str, parked: ParkedKey) -> None:
    async with _database(running, service) as connection:
        await dead_letters.discard(connection, parked)


def _print_keys(found: list[tuple[str, ParkedKey]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("service", "consumer", "source", "key", "events", "since", "reason"):
        table.add_column(heading, overflow="fold")
    for service, key in found:
        since = f"{key.since.astimezone():%d/%m %H:%M:%S}"
        table.add_row(service, key.consumer, key.source, key.key, str(key.events), since, key.reason)
    Console().print(table)


def _print_letter(letter: Letter, *, data: bool) -> None:
    topic, partition, offset = letter.place
    typer.echo(f"\n{letter.number}. {letter.reason} ({topic}/{partition}/{offset})")
    for name, value in letter.headers:
        typer.echo(f"   {name}: {value.decode('utf-8', 'backslashreplace')}")
    if data:
        text = "(tombstone)" if letter.value is None else letter.value.decode("utf-8", "backslashreplace")
        typer.echo(f"   {text}")
