"""`preau rebuild feed`: the feed's history made anew from what domains hold, beside the one that families read.

Everything is asked through the public address with an operator's token, and topics are made and removed in Kafka itself:
the same on a laptop and in production. What was begun by a command that was interrupted is found and completed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import aiohttp
import typer

from cli.running_home import NotUp
from infra.topics import TOPICS

app = typer.Typer(no_args_is_help=True, help="Make a service's data anew.")
_REQUEST_SECONDS = 30
_PAUSE = 0.5
_NEARLY = 500
"""Records to go that a switch waits for: in a second of a busy evening no fewer are written."""
_PATIENCE = 60.0
"""Seconds for which a service may not answer before the command gives up; a later one goes on where it was."""
_TOLD_SECONDS = 2.0
_CONFLICT, _LOST, _NEVER = 409, 2, float("inf")
_PASSING = ("behind",)


class RebuildFailed(Exception):
    """The rebuild did not complete; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Where:
    """A running Préau: the base of its public API, an operator's token, Kafka's bootstrap servers."""

    url: str
    token: str
    kafka: str


@app.callback()
def _named() -> None:
    """Make a service's data anew."""


@app.command()
def feed(
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    fewer: Annotated[bool, typer.Option("--fewer", help="Switch even if the new history has fewer items.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Drop what an interrupted rebuild began.")] = False,
    url: Annotated[
        str, typer.Option(envvar="PREAU_GATEWAY_URL", help="Base of the public API; default: this home's.")
    ] = "",
    kafka: Annotated[str, typer.Option(envvar="PREAU_KAFKA", help="Bootstrap servers; default: this home's.")] = "",
) -> None:
    """Rebuild the feed's history from what domains show at this moment; families read the old one meanwhile.

    The operator's token comes from PREAU_OPERATOR_TOKEN, or from this home.
    """
    try:
        where = _where(url, kafka)
    except NotUp as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from error
    if not yes and not abandon:
        typer.confirm("Rebuild the feed's history? Open pages load anew once it is complete.", abort=True)
    try:
        asyncio.run(_abandon(where) if abandon else _rebuild(where, fewer=fewer))
    except RebuildFailed as failed:
        typer.echo(str(failed), err=True)
        raise typer.Exit(_LOST if str(failed).startswith("The new history has") else 1) from failed


def _where(url: str, kafka: str) -> Where:
    token = os.environ.get("PREAU_OPERATOR_TOKEN", "")
    if url and kafka and token:
        return Where(url.rstrip("/"), token, kafka)
    from cli.topics import running_with_kafka

    running = running_with_kafka()
    return Where(url.rstrip("/") or running.url, token or running.operator_token(), kafka or running.kafka)


async def _rebuild(where: Where, *, fewer: bool) -> None:
    from services.gateway.routing import REPLAYING

    async with _operator(where) as ask:
        known = await ask("GET", "/v1/feed/generations")
        before = _of(known, "serving")
        building = _of(known, "building")
        number = building["generation"] if building else known["next"]
        typer.echo(f"{before['items']} items in generation {before['generation']}, which families go on reading")
        if not building:
            await _make_topic(where.kafka, number)
        await ask("PUT", f"/v1/feed/generations/{number}")
        for service in REPLAYING:
            await ask("PUT", f"/v1/replays/{service}/feed-{number}")
        await _replayed(ask, REPLAYING, number)
        await _complete(ask, fewer=fewer)
        await ask("POST", f"/v1/feed/generations/{number}/switch", again=_PASSING)
        typer.echo(f"generation {number} serves; pages that are open load anew")
        after = await _old_removed(ask)
        await _remove_topics(where.kafka, keep=[one["topic"] for one in after["generations"] if one["state"] != "gone"])
        typer.echo(f"{before['items']} items before, {_of(after, 'serving')['items']} after")


async def _abandon(where: Where) -> None:
    from services.gateway.routing import REPLAYING

    async with _operator(where) as ask:
        building = _of(await ask("GET", "/v1/feed/generations"), "building")
        if not building:
            typer.echo("No rebuild is unfinished.")
            return
        number = building["generation"]
        for service in REPLAYING:
            await ask("DELETE", f"/v1/replays/{service}/feed-{number}")
        await ask("DELETE", f"/v1/feed/generations/{number}")
        after = await _old_removed(ask)
        await _remove_topics(where.kafka, keep=[one["topic"] for one in after["generations"] if one["state"] != "gone"])
        typer.echo(f"Generation {number} is dropped.")


# Steps


async def _replayed(ask: Ask, services: tuple[str, ...], number: int) -> None:
    """Wait until all that domains publish again is in Kafka, telling how far they are."""
    tell = _Teller()
    while True:
        found = [await ask("GET", f"/v1/replays/{service}/feed-{number}") for service in services]
        facts = ", ".join(f"{service} {one['facts']}" for service, one in zip(services, found, strict=True))
        done = all(one["done"] for one in found)
        tell(f"facts published again: {facts}", last=done)
        if done:
            return
        await asyncio.sleep(_PAUSE)


async def _complete(ask: Ask, *, fewer: bool) -> None:
    """Wait until the new history is nearly as far as its topics, and has no fewer items than the one that serves.

    What is written all the while it never quite reaches; the switch waits for what was written before it.
    """
    tell, settled = _Teller(), _NEVER
    while True:
        known = await ask("GET", "/v1/feed/generations")
        serving, building = _of(known, "serving"), _of(known, "building")
        if not building:
            return
        behind = building["behind"]
        tell(f"{building['items']} items taken in, {behind} records to go", last=behind <= _NEARLY)
        if behind > _NEARLY:
            settled = _NEVER
        elif fewer or building["items"] + behind >= serving["items"]:
            return
        else:
            # The two histories take the same news in moments apart.
            settled = min(settled, time.monotonic())
            if time.monotonic() - settled > _TOLD_SECONDS:
                raise RebuildFailed(
                    f"The new history has {building['items']} items, the old one {serving['items']}: nothing was switched. "
                    "Find out what is missing; then `--fewer` completes it, `--abandon` drops it."
                )
        await asyncio.sleep(_PAUSE)


async def _old_removed(ask: Ask) -> Any:
    """Wait until the rows of retired generations are removed."""
    while True:
        known = await ask("GET", "/v1/feed/generations")
        if not _of(known, "retired"):
            return known
        await asyncio.sleep(_PAUSE)


def _of(known: Any, state: str) -> Any:
    return next((one for one in known["generations"] if one["state"] == state), None)


class _Teller:
    """Tells progress, but not every half second."""

    def __init__(self) -> None:
        self._told = ("", -_NEVER)

    def __call__(self, line: str, *, last: bool) -> None:
        text, at = self._told
        if line != text and (last or time.monotonic() - at > _TOLD_SECONDS):
            typer.echo(line)
            self._told = (line, time.monotonic())


# The API


class _operator:
    """Asks as an operator; what passes by itself is asked again."""

    def __init__(self, where: Where) -> None:
        self._where = where

    async def __aenter__(self) -> Ask:
        headers = {"Authorization": f"Bearer {self._where.token}"}
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        self._client = aiohttp.ClientSession(headers=headers, timeout=timeout)
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def _ask(self, method: str, path: str, again: tuple[str, ...] = ()) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                status, body = await self._once(method, path)
            except (aiohttp.ClientError, TimeoutError) as error:
                status, body = 503, {"title": type(error).__name__}
            if status < 400:
                return body
            if status == _CONFLICT and body.get("code") in again:
                deadline = time.monotonic() + _PATIENCE
            elif status not in (502, 503, 504) or time.monotonic() > deadline:
                said = body.get("detail") or body.get("title") or status
                raise RebuildFailed(f"{method} {path}: {said}. Run it again once that is mended.")
            await asyncio.sleep(_PAUSE)

    async def _once(self, method: str, path: str) -> tuple[int, Any]:
        async with self._client.request(method, self._where.url + path) as answer:
            return answer.status, await answer.json(content_type=None) if answer.content_type else {}


Ask = Callable[..., Any]
"""(method, path) to the answer's body; raises `RebuildFailed`."""


# Topics


async def _make_topic(kafka: str, number: int) -> None:
    """Make a generation's topic as the one that serves is: replicated as much, kept as long."""
    from dataclasses import replace

    from aiokafka.admin import AIOKafkaAdminClient

    from contracts import feed
    from infra.topics import EMBEDDED, PRODUCTION, ensure_topics

    declared = next(topic for topic in TOPICS if topic.name == feed.TOPIC)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        standing = declared.standing(await admin.list_topics())
        described = await admin.describe_topics(standing[:1])
        copies = len(described[0]["partitions"][0]["replicas"])
    finally:
        await admin.close()
    replication = EMBEDDED if copies == EMBEDDED.factor else PRODUCTION
    await ensure_topics(kafka, [replace(declared, name=feed.topic_of(number), generations=False)], replication)


async def _remove_topics(kafka: str, keep: list[str]) -> None:
    """Remove the topics of generations that are gone; gateways have long gone on."""
    from aiokafka.admin import AIOKafkaAdminClient

    from contracts import feed

    declared = next(topic for topic in TOPICS if topic.name == feed.TOPIC)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        gone = [name for name in declared.standing(await admin.list_topics()) if name not in keep]
        if gone:
            await admin.delete_topics(gone)
    finally:
        await admin.close()
