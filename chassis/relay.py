"""The relay: sends what the outbox of one database owes to Kafka, in order per key, and deletes what was acknowledged.

One relay at a time works on a database: it holds a session lock on a direct connection. Reading by id and deleting loses
nothing; a cursor over ids would skip an id drawn early and committed late. Events sent but not yet deleted when a relay
dies are sent again with the same sequence, and their consumers know them as repeats.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis import telemetry
from chassis.database import UNREACHABLE, Connection
from chassis.outbox import CHANNEL, decode_headers
from chassis.sending import Ready, producer, send
from contracts.envelope import Header

BATCH = 2000
"""Rows read, sent and deleted at a time."""
_POLL_SECONDS = 1.0
_STANDBY_SECONDS = 0.5
_LOCK = 0x72656C6179
_log = logging.getLogger(__name__)
_sent = telemetry.meter.create_counter("preau_relay_events", description="Events acknowledged by Kafka")

_FIRST = "SELECT id, topic, key, headers, value FROM outbox ORDER BY id LIMIT $1"
# Both parts of a statement see what stood before it: what is deleted is left out by its ids.
_NEXT = """
    WITH gone AS (DELETE FROM outbox WHERE id = ANY($2::bigint[]))
    SELECT id, topic, key, headers, value FROM outbox
    WHERE id <> ALL($2::bigint[]) AND id <> ALL($3::bigint[]) ORDER BY id LIMIT $1
"""


class Relay:
    """The relay of one database."""

    def __init__(self, service: str, url: str, bootstrap: str) -> None:
        self._service = service
        self._url = url
        self._bootstrap = bootstrap
        self._wake = asyncio.Event()
        self._heard = time.monotonic()
        self._labels = {"service": service}

    def stalled(self) -> str | None:
        """What is wrong when the relay's loop has not turned for a minute."""
        return None if time.monotonic() - self._heard < 60 else f"the relay of {self._service} stands still"

    async def run(self) -> None:
        """Relay for ever; what fails is tried again."""
        while True:
            try:
                await self._session()
            except (KafkaError, asyncpg.UndefinedTableError, *UNREACHABLE) as error:
                # A table that is missing: the service that owns the database has not migrated it yet.
                _log.warning("relay interrupted", extra={"service": self._service, "cause": type(error).__name__})
            self._heard = time.monotonic()
            await asyncio.sleep(0.2)

    async def _session(self) -> None:
        # A deletion that a crash undoes is an event sent twice, which its readers know: no disk need be waited for.
        lazily = {"synchronous_commit": "off"}
        connection = await asyncpg.connect(self._url, timeout=5, command_timeout=30, server_settings=lazily)
        try:
            await self._locked(connection)
            await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            async with contextlib.AsyncExitStack() as stack:
                sender = producer(self._bootstrap)
                stack.push_async_callback(sender.stop)
                await sender.start()
                await self._drain_for_ever(connection, sender)
        finally:
            with contextlib.suppress(*UNREACHABLE):
                await connection.close(timeout=1)

    async def _locked(self, connection: Connection) -> None:
        """Wait for the turn: the relay that holds the lock works, the others stand by."""
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            self._heard = time.monotonic()
            await asyncio.sleep(_STANDBY_SECONDS)

    async def _drain_for_ever(self, connection: Connection, sender: AIOKafkaProducer) -> None:
        while True:
            self._heard = time.monotonic()
            await self._drain(connection, sender)
            # Not `wait_for`: in Python 3.11 it swallows the cancellation that comes with a wake-up, and the loop would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def _drain(self, connection: Connection, sender: AIOKafkaProducer) -> None:
        """Send what the outbox holds, reading the next batch while a full one is on its way."""
        sent: list[int] = []
        rows = await self._claim(connection)
        while rows:
            self._heard = time.monotonic()
            ids = [row["id"] for row in rows]
            sending = send(sender, map(_ready, rows))
            following: list[asyncpg.Record] = []
            if len(rows) < BATCH:
                await sending
            else:
                following, sent = await self._claim_while(sending, connection, sent, ids), []
            sent += ids
            _sent.add(len(ids), self._labels)
            if not following:
                following, sent = await self._claim(connection, sent), []
            # What was read ahead may lack an id that was drawn earlier and committed since; but then no later event of
            # its key can have been read, for a key's writers wait for one another before they draw.
            rows = following

    async def _claim_while(
        self, sending: Coroutine[Any, Any, None], connection: Connection, sent: Sequence[int], underway: Sequence[int]
    ) -> list[asyncpg.Record]:
        done = asyncio.ensure_future(sending)
        try:
            return await self._claim(connection, sent, underway)
        finally:
            await done

    async def _claim(
        self, connection: Connection, sent: Sequence[int] = (), underway: Sequence[int] = ()
    ) -> list[asyncpg.Record]:
        # Whoever has committed by now need not wake the relay: what they wrote is read here.
        self._wake.clear()
        return await claim(connection, sent, underway)


async def claim(connection: Connection, sent: Sequence[int] = (), underway: Sequence[int] = ()) -> list[asyncpg.Record]:
    """The next batch by id, after those that are on their way; what was acknowledged is deleted with it."""
    if sent or underway:
        return await connection.fetch(_NEXT, BATCH, sent, underway)
    return await connection.fetch(_FIRST, BATCH)


def _ready(row: asyncpg.Record) -> Ready:
    """A row as it is sent: numbered by its id, unless it is a dead letter, which keeps the number it came with."""
    headers = decode_headers(row["headers"])
    if row["topic"][:4] != "dlq.":
        headers.append(("ce_sequence", b"%d" % row["id"]))
    traceparent = next((value.decode() for name, value in headers if name == "traceparent"), None)
    if traceparent:
        with telemetry.event_span(f"relay {row['topic']}", traceparent):
            headers = _with_current_trace(headers)
    return Ready(row["topic"], row["key"].encode(), row["value"], headers)


def _with_current_trace(headers: Sequence[Header]) -> list[Header]:
    current = telemetry.current_traceparent()
    kept = [header for header in headers if header[0] != "traceparent"]
    return [*kept, ("traceparent", current.encode())] if current else kept
