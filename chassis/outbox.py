"""The outbox: events written in the transaction of what they tell, for the relay to send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from pydantic import BaseModel

from chassis import telemetry
from chassis.database import UNREACHABLE, Connection, Database, lock_number
from contracts.envelope import Envelope, Event, Header, new_id, to_headers

CHANNEL = "outbox"
_log = logging.getLogger(__name__)

_LOCK = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"
APPEND_CTE = """
    INSERT INTO outbox (topic, key, headers, value)
    SELECT topic, key, headers, value
    FROM unnest({topics}::text[], {keys}::text[], {headers}::text[], {values}::bytea[])
         AS events (topic, key, headers, value)
"""
"""The insert as text, so that a store can make it a part of its own statement and save a round trip."""
_APPEND = APPEND_CTE.format(topics="$1", keys="$2", headers="$3", values="$4") + " RETURNING id"


class OutboxFull(Exception):
    """Kafka has been away for too long: writes are refused with 503 until the outbox drains."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to be: its topic, its envelope, its value as it goes on the wire (None is a tombstone)."""

    topic: str
    envelope: Envelope
    value: bytes | None
    headers: Sequence[Header] | None = None
    """Headers to send instead of the envelope's own: a dead letter keeps those it came with."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What events made together have in common: when they were made, and in which trace."""

    time: datetime
    traceparent: str | None

    @classmethod
    def now(cls) -> Stamp:
        """Of this moment and the current trace."""
        return cls(datetime.now(UTC), telemetry.current_traceparent())


def outgoing(
    topic: str,
    event: Event,
    *,
    source: str,
    key: str,
    subject: str | None = None,
    uai: str | None = None,
    audience: str | None = None,
    directory_position: int | None = None,
    event_id: str | None = None,
    replay: bool = False,
    value: bytes | None = None,
    stamp: Stamp | None = None,
) -> Outgoing:
    """Make an event ready to send: serialised once, with a new id, stamped with the time and the current trace.

    `value` is the event as JSON where the caller has it.
    """
    stamp = stamp or Stamp.now()
    envelope = Envelope(
        id=event_id or new_id(),
        type=event.TYPE,
        source=source,
        subject=subject or key,
        key=key,
        time=stamp.time,
        uai=uai,
        audience=audience,
        directory_position=directory_position,
        traceparent=stamp.traceparent,
        replay=replay,
    )
    return Outgoing(topic, envelope, dump(event) if value is None else value)


def dump(model: BaseModel) -> bytes:
    """A model as UTF-8 JSON."""
    return model.__pydantic_serializer__.to_json(model)


async def lock_keys(connection: Connection, keys: Iterable[str]) -> None:
    """Serialise the writers of these record keys until the transaction ends.

    Order per key rests on it: whoever draws outbox ids for a key holds its lock, so ids grow in commit order. The
    locks are taken in one order by all, so that two writers of overlapping keys cannot block each other for ever.
    """
    await connection.execute(_LOCK, lock_numbers(keys))


def lock_numbers(keys: Iterable[str]) -> list[int]:
    """The advisory locks of these record keys, in the order in which all take them; for a store's own statement."""
    return sorted({lock_number(b"outbox", key.encode()) for key in keys})


def columns(events: Sequence[Outgoing]) -> tuple[list[str], list[str], list[str], list[bytes | None]]:
    """The arrays that `APPEND_CTE` takes: topics, keys, headers, values."""
    patterns: dict[Envelope, str] = {}
    return (
        [e.topic for e in events],
        [e.envelope.key for e in events],
        [encode_headers(e.headers) if e.headers else _encoded(e.envelope, patterns) for e in events],
        [e.value for e in events],
    )


_ID, _SUBJECT, _AUDIENCE = "{id}", "{subject}", "{audience}"


def _encoded(envelope: Envelope, patterns: dict[Envelope, str]) -> str:
    """The headers as the outbox keeps them. Events made together differ in three: the others are encoded once."""
    audience = None if envelope.audience is None else _AUDIENCE
    common = envelope._replace(id=_ID, subject=_SUBJECT, key="", audience=audience)
    pattern = patterns.get(common)
    if pattern is None:
        pattern = patterns[common] = encode_headers(to_headers(common))
    told = pattern.replace(_ID, _escaped(envelope.id)).replace(_AUDIENCE, _escaped(envelope.audience or ""))
    # Last, for a subject is any text.
    return told.replace(_SUBJECT, _escaped(envelope.subject))


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def encode_headers(headers: Iterable[Header]) -> str:
    """Kafka headers as the outbox keeps them; bytes that are not UTF-8 survive.

    A foreign header without a value, which Kafka allows, becomes one with an empty value.
    """
    return json.dumps([(name, (value or b"").decode("utf-8", "surrogateescape")) for name, value in headers])


def decode_headers(text: str) -> list[Header]:
    """The headers that `encode_headers` kept."""
    return [(name, value.encode("utf-8", "surrogateescape")) for name, value in json.loads(text)]


async def append(connection: Connection, events: Sequence[Outgoing]) -> list[int]:
    """Owe these events to Kafka; returns their sequences. The caller holds the locks of their keys."""
    if not events:
        return []
    return [row["id"] for row in await connection.fetch(_APPEND, *columns(events))]


class OutboxWaker:
    """Tells the relay of new rows after a commit, over one direct connection, however many writers commit meanwhile.

    NOTIFY inside the writers' transactions would serialise their commits (PostgreSQL takes one lock for the queue).
    """

    def __init__(self, database: Database) -> None:
        self._url = database.settings.direct_url()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        database.after_commit(self._wake.set)

    async def start(self) -> None:
        """Begin to listen for commits."""
        self._task = asyncio.create_task(self._run(), name="outbox-waker")

    async def stop(self) -> None:
        """Stop; rows not told of are found by the relay's slow poll."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._notify()
            except UNREACHABLE:
                await asyncio.sleep(0.5)

    async def _notify(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, command_timeout=5)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await connection.execute(f"NOTIFY {CHANNEL}")
        finally:
            with contextlib.suppress(*UNREACHABLE):
                await connection.close(timeout=1)


class OutboxGauge:
    """Watches how much the outbox holds, so that writes are refused before it grows without bound."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows = 0
        self.age_seconds = 0.0
        telemetry.gauge("preau_outbox_age_seconds", "Age of the oldest event not sent", lambda: self.age_seconds)
        telemetry.gauge("preau_outbox_rows", "Events not sent", lambda: self.rows)

    async def measure(self) -> None:
        """Read rows (by ids, a count would be slow when it matters) and the age of the oldest."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT coalesce((SELECT max(id) FROM outbox) - (SELECT min(id) FROM outbox) + 1, 0) AS rows,"
                " coalesce(extract(epoch FROM now() - (SELECT created_at FROM outbox ORDER BY id LIMIT 1)), 0) AS age"
            )
        assert row is not None
        self.rows, self.age_seconds = row["rows"], float(row["age"])

    def check(self) -> None:
        """Raise `OutboxFull` when no more may be written."""
        settings = self._database.settings
        if self.rows > settings.outbox_rows or self.age_seconds > settings.outbox_hours * 3600:
            raise OutboxFull

    async def watch(self, every: float = 2.0) -> None:
        """Measure for ever."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                await self.measure()
            await asyncio.sleep(every)
