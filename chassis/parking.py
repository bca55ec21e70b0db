"""Parking: a poison event and what follows it under its key wait in the dead-letter topic, in order; other keys go on.

An operator releases a key (`chassis/dead_letters.py`): a replay appends its events to their partition, oldest first, and
has the consumer pass over what the partition holds of the key before them; a discard drops them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from chassis import repeats
from chassis.database import Connection
from chassis.outbox import Outgoing, append

if TYPE_CHECKING:
    from chassis.consumer import Received

MOST_PARKED = 10_000
"""Keys a consumer may have parked; one more is an outage of its own, and the consumer stops instead."""


class TooManyParked(Exception):
    """So many keys are parked that the fault is not the events'."""


_STANDING = """
    SELECT source, key, NULL AS topic, NULL AS partition, NULL AS below FROM parked_keys WHERE consumer = $1
    UNION ALL
    SELECT source, key, topic, partition, below FROM passed_over WHERE consumer = $1
"""
_PARK = """
    INSERT INTO parked_keys AS parked (consumer, source, key, reason, sequence) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (consumer, source, key) DO UPDATE
    SET events = parked.events + 1, sequence = greatest(parked.sequence, excluded.sequence)
    RETURNING parked_at, events
"""
_RELEASE = "DELETE FROM parked_keys WHERE consumer = $1 AND source = $2 AND key = $3 RETURNING sequence"
_PASSED = """
    INSERT INTO passed_over AS before (consumer, source, key, topic, partition, below)
    SELECT $1, $2, $3, topic, partition, below
    FROM unnest($4::text[], $5::integer[], $6::bigint[]) AS appended (topic, partition, below)
    ON CONFLICT (consumer, source, key, topic, partition) DO UPDATE SET below = greatest(before.below, excluded.below)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands against taking events in."""

    consumer: str
    parked: frozenset[tuple[str, str]] = frozenset()
    """Pairs (source, key) that are parked."""
    passed_over: Mapping[tuple[str, str, str, int], int] = field(default_factory=dict)
    """By (source, key, topic, partition), the offset from which events are taken in again."""

    def passed(self, events: Sequence[Received]) -> Sequence[Received]:
        """The events without those that come again."""
        return [event for event in events if not self._comes_again(event)] if self.passed_over else events

    def parted(self, events: Sequence[Received]) -> tuple[Sequence[Received], Sequence[Received]]:
        """The events of free keys, and those that follow a parked one."""
        if not self.parked:
            return events, ()
        free = [event for event in events if not self.is_parked(event)]
        return free, [event for event in events if self.is_parked(event)]

    def is_parked(self, event: Received) -> bool:
        """Whether the event's key is parked."""
        return bool(self.parked) and (event.envelope.source, event.envelope.key) in self.parked

    def and_parked(self, event: Received) -> Standing:
        """The same with the event's key parked."""
        return replace(self, parked=self.parked | {(event.envelope.source, event.envelope.key)})

    def _comes_again(self, event: Received) -> bool:
        record = event.record
        name = (event.envelope.source, event.envelope.key, record.topic, record.partition)
        return int(record.offset) < self.passed_over.get(name, 0)

    async def forget(self, connection: Connection, reached: Mapping[TopicPartition, int]) -> None:
        """Forget what was passed over where a consumer has reached an offset behind it."""
        for source, key, topic, partition in self._behind(reached):
            await connection.execute(
                "DELETE FROM passed_over WHERE consumer = $1 AND source = $2 AND key = $3 AND topic = $4 AND partition = $5",
                self.consumer,
                source,
                key,
                topic,
                partition,
            )

    def _behind(self, reached: Mapping[TopicPartition, int]) -> list[tuple[str, str, str, int]]:
        return [name for name, below in self.passed_over.items() if reached.get(TopicPartition(*name[2:]), -1) >= below]


async def standing(connection: Connection, consumer: str) -> Standing:
    """What stands against taking events in, for a consumer."""
    rows = await connection.fetch(_STANDING, consumer)
    if not rows:
        return Standing(consumer)
    parked = frozenset((row["source"], row["key"]) for row in rows if row["topic"] is None)
    passed = {
        (row["source"], row["key"], row["topic"], row["partition"]): row["below"]
        for row in rows
        if row["topic"] is not None
    }
    return Standing(consumer, parked, passed)


def dead_letter_topic(service: str) -> str:
    """The topic that holds what a service could not take in."""
    return f"dlq.{service}"


async def park(connection: Connection, service: str, consumer: str, event: Received, reason: str) -> None:
    """Park an event's key and owe the event, as it came, to the dead-letter topic."""
    if await connection.fetchval("SELECT count(*) FROM parked_keys WHERE consumer = $1", consumer) >= MOST_PARKED:
        raise TooManyParked(consumer)
    row = await connection.fetchrow(
        _PARK,
        consumer,
        event.envelope.source,
        event.envelope.key,
        reason,
        event.envelope.sequence,
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


async def release(
    connection: Connection, consumer: str, source: str, key: str, below: Mapping[tuple[str, int], int]
) -> None:
    """Let a key's events through again from these offsets on, by (topic, partition): those before come again behind them."""
    await connection.execute(_RELEASE, consumer, source, key)
    topics = [topic for topic, _ in below]
    partitions = [partition for _, partition in below]
    await connection.execute(_PASSED, consumer, source, key, topics, partitions, list(below.values()))


async def drop(connection: Connection, consumer: str, source: str, key: str) -> bool:
    """Let a key's newer events through again; those with dead letters count as seen. Returns whether it was parked."""
    row = await connection.fetchrow(_RELEASE, consumer, source, key)
    if row is not None and row["sequence"] is not None:
        await repeats.remember(connection, consumer, source, key, row["sequence"])
    return row is not None
