"""Parking: a poison event and what follows it under its key wait in the dead-letter topic, in order; other keys go on.

An operator releases a key (`chassis/dead_letters.py`): a replay puts its events back through the consumer, oldest first;
a discard drops them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chassis.database import Connection
from chassis.outbox import Outgoing, append

if TYPE_CHECKING:
    from chassis.consumer import Received

MOST_PARKED = 10_000
"""Keys a consumer may have parked; one more is an outage of its own, and the consumer stops instead."""


class TooManyParked(Exception):
    """So many keys are parked that the fault is not the events'."""


async def parked_keys(connection: Connection, consumer: str) -> set[tuple[str, str]]:
    """The (source, key) pairs that are parked."""
    rows = await connection.fetch("SELECT source, key FROM parked_keys WHERE consumer = $1", consumer)
    return {(row["source"], row["key"]) for row in rows}


def dead_letter_topic(service: str) -> str:
    """The topic that holds what a service could not take in."""
    return f"dlq.{service}"


async def park(connection: Connection, service: str, consumer: str, event: Received, reason: str) -> None:
    """Park an event's key and owe the event, as it came, to the dead-letter topic."""
    if await connection.fetchval("SELECT count(*) FROM parked_keys WHERE consumer = $1", consumer) >= MOST_PARKED:
        raise TooManyParked(consumer)
    row = await connection.fetchrow(
        "INSERT INTO parked_keys AS parked (consumer, source, key, reason) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (consumer, source, key) DO UPDATE SET events = parked.events + 1"
        " RETURNING parked_at, events",
        consumer,
        event.envelope.source,
        event.envelope.key,
        reason,
    )
    assert row is not None
    why = [
        ("dlq_consumer", consumer),
        ("dlq_reason", reason),
        ("dlq_source", event.envelope.source),
        ("dlq_since", stamp(row["parked_at"])),
        ("dlq_number", str(row["events"])),
    ]
    await append(connection, [_dead_letter(service, event, why)])


def stamp(parked_at: datetime) -> str:
    """When a key was parked, as its dead letters say it: it tells them from those of an earlier parking."""
    return parked_at.astimezone(UTC).isoformat()


def _dead_letter(service: str, event: Received, why: list[tuple[str, str]]) -> Outgoing:
    record = event.record
    place = f"{record.topic}/{record.partition}/{record.offset}"
    headers = [*record.headers, *((name, value.encode()) for name, value in [*why, ("dlq_from", place)])]
    if record.key is not None:
        # What can't be read is parked under its place, so its own key stands apart.
        headers.append(("dlq_key", record.key))
    return Outgoing(dead_letter_topic(service), event.envelope, event.value, headers)


async def release(connection: Connection, consumer: str, source: str, key: str) -> bool:
    """Let a key's events through again; returns whether it was parked."""
    status = await connection.execute(
        "DELETE FROM parked_keys WHERE consumer = $1 AND source = $2 AND key = $3", consumer, source, key
    )
    return status != "DELETE 0"
