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

from chassis.database import Connection
from chassis.outbox import Outgoing, append

if TYPE_CHECKING:
    from chassis.consumer import Received

MOST_PARKED = 10_000
"""Keys a consumer may have parked; one more is an outage of its own, and the consumer stops instead."""


class TooManyParked(Exception):
    """So many keys are parked that the fault is not the events'."""


_DROPPED_DAYS = 30
"""As long as topics keep what may be delivered again."""
_STANDING = """
    SELECT source, key, NULL AS topic, NULL::integer AS partition, NULL::bigint AS below, NULL::bigint AS until,
           NULL::bigint AS sequence
    FROM parked_keys WHERE consumer = $1
    UNION ALL
    SELECT source, key, topic, partition, below, until, NULL FROM passed_over WHERE consumer = $1
    UNION ALL
    SELECT source, key, NULL, NULL, NULL, NULL, sequence FROM dropped WHERE consumer = $1
"""
_OTHERS = "SELECT count(*) FROM parked_keys WHERE consumer = $1 AND (source, key) <> ($2, $3)"
_PARK = """
    INSERT INTO parked_keys AS parked (consumer, source, key, reason, sequence) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (consumer, source, key) DO UPDATE
    SET events = parked.events + 1, sequence = greatest(parked.sequence, excluded.sequence)
    RETURNING parked_at, events
"""
_RELEASE = "DELETE FROM parked_keys WHERE consumer = $1 AND source = $2 AND key = $3 RETURNING sequence"
_APPENDED = """
    INSERT INTO passed_over AS before (consumer, source, key, topic, partition, below, until)
    SELECT $1, $2, $3, topic, partition, below, until
    FROM unnest($4::text[], $5::integer[], $6::bigint[], $7::bigint[]) AS appended (topic, partition, below, until)
    ON CONFLICT (consumer, source, key, topic, partition) DO UPDATE SET below = excluded.below, until = excluded.until
"""
_DROP = """
    INSERT INTO dropped AS before (consumer, source, key, sequence) VALUES ($1, $2, $3, $4)
    ON CONFLICT (consumer, source, key) DO UPDATE SET sequence = excluded.sequence, dropped_at = excluded.dropped_at
"""
_FORGET = """
    DELETE FROM passed_over
    WHERE consumer = $1 AND source = $2 AND key = $3 AND topic = $4 AND partition = $5 AND until <= $6
"""

Key = tuple[str, str]
"""Source and key."""
Partition = tuple[str, int]
"""Topic and number."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where the appended events of a key lie in a partition: from the offset of the first until behind the last."""

    below: int
    until: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands against taking events in."""

    consumer: str
    parked: frozenset[Key] = frozenset()
    passed_over: Mapping[tuple[Key, Partition], Span] = field(default_factory=dict)
    """Keys whose events before a span come again in it."""
    dropped: Mapping[Key, int] = field(default_factory=dict)
    """Keys whose events up to a sequence an operator dropped."""

    def passed(self, events: Sequence[Received]) -> Sequence[Received]:
        """The events without those that are passed over."""
        return [event for event in events if not self.passes(event)] if self.passed_over or self.dropped else events

    def parted(self, events: Sequence[Received]) -> tuple[Sequence[Received], Sequence[Received]]:
        """The events of free keys, and those that follow a parked one."""
        if not self.parked:
            return events, ()
        free = [event for event in events if not self.is_parked(event)]
        return free, [event for event in events if self.is_parked(event)]

    def is_parked(self, event: Received) -> bool:
        """Whether the event's key is parked."""
        return _key_of(event) in self.parked

    def passes(self, event: Received) -> bool:
        """Whether the event is passed over: it comes again, or was dropped."""
        key, record, sequence = _key_of(event), event.record, event.envelope.sequence
        if sequence is not None and sequence <= self.dropped.get(key, -1):
            return True
        span = self.passed_over.get((key, (record.topic, record.partition))) if self.passed_over else None
        return span is not None and record.offset < span.below

    def and_parked(self, event: Received) -> Standing:
        """The same with the event's key parked."""
        return replace(self, parked=self.parked | {_key_of(event)})

    async def forget(self, connection: Connection, reached: Mapping[TopicPartition, int]) -> None:
        """Forget the spans that a consumer has come through; what lay before them it knows as repeats now."""
        for ((source, key), (topic, partition)), span in self.passed_over.items():
            come = reached.get(TopicPartition(topic, partition), -1)
            if come >= span.until:
                await connection.execute(_FORGET, self.consumer, source, key, topic, partition, come)


def _key_of(event: Received) -> Key:
    return event.envelope.source, event.envelope.key


async def standing(connection: Connection, consumer: str) -> Standing:
    """What stands against taking events in, for a consumer."""
    rows = await connection.fetch(_STANDING, consumer)
    if not rows:
        return Standing(consumer)
    parked, passed_over, dropped = set(), {}, {}
    for row in rows:
        key = (row["source"], row["key"])
        if row["topic"] is not None:
            passed_over[key, (row["topic"], row["partition"])] = Span(row["below"], row["until"])
        elif row["sequence"] is not None:
            dropped[key] = row["sequence"]
        else:
            parked.add(key)
    return Standing(consumer, frozenset(parked), passed_over, dropped)


def dead_letter_topic(service: str) -> str:
    """The topic that holds what a service could not take in."""
    return f"dlq.{service}"


async def park(connection: Connection, service: str, consumer: str, event: Received, reason: str) -> None:
    """Park an event's key and owe the event, as it came, to the dead-letter topic."""
    if await connection.fetchval(_OTHERS, consumer, event.envelope.source, event.envelope.key) >= MOST_PARKED:
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
    connection: Connection, consumer: str, source: str, key: str, appended: Mapping[Partition, Span]
) -> None:
    """Let a key's events through again from where they were appended; those before come again there."""
    await connection.execute(_RELEASE, consumer, source, key)
    topics = [topic for topic, _ in appended]
    partitions = [partition for _, partition in appended]
    below, until = [span.below for span in appended.values()], [span.until for span in appended.values()]
    await connection.execute(_APPENDED, consumer, source, key, topics, partitions, below, until)


async def drop(connection: Connection, consumer: str, source: str, key: str) -> bool:
    """Let a key's newer events through again; those with dead letters are passed over. Returns whether it was parked."""
    row = await connection.fetchrow(_RELEASE, consumer, source, key)
    if row is not None and row["sequence"] is not None:
        await connection.execute(_DROP, consumer, source, key, row["sequence"])
    await connection.execute("DELETE FROM dropped WHERE dropped_at < now() - make_interval(days => $1)", _DROPPED_DAYS)
    return row is not None


async def remove(connection: Connection, consumers: Sequence[str]) -> None:
    """Remove what stands of consumers that are gone for good."""
    for table in ("parked_keys", "passed_over", "dropped"):
        await connection.execute(f"DELETE FROM {table} WHERE consumer = ANY($1::text[])", consumers)  # noqa: S608 - a constant
