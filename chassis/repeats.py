"""Repeats: the last sequence of each source and key is kept with the effect, and an event not newer is dropped.

It absorbs redelivery, a relay that sends again and a consumer that wakes late, and grows with keys, not with events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chassis.database import Connection

if TYPE_CHECKING:
    from chassis.consumer import Received

# Rows are taken in one order by all consumers, so that two that share keys after a rebalance cannot deadlock.
_ADVANCE = """
    INSERT INTO repeat_guard AS guard (name, sequence)
    SELECT name, sequence FROM unnest($1::uuid[], $2::bigint[]) AS seen (name, sequence)
    ON CONFLICT (name) DO UPDATE SET sequence = greatest(guard.sequence, excluded.sequence)
    RETURNING name, old.sequence AS before
"""


async def only_new(connection: Connection, consumer: str, events: Sequence[Received]) -> list[Received]:
    """The events not seen before, in order; remembers them in the caller's transaction.

    Events without a sequence (beats) are always new.
    """
    greatest: dict[tuple[str, str], int] = {}
    for event in events:
        envelope = event.envelope
        if envelope.sequence is not None:
            key = (envelope.source, envelope.key)
            greatest[key] = max(envelope.sequence, greatest.get(key, -1))
    if not greatest:
        return list(events)
    keys = {name_of(consumer, *key): key for key in greatest}
    names = sorted(keys)
    rows = await connection.fetch(_ADVANCE, names, [greatest[keys[name]] for name in names])
    return newer(events, {keys[row["name"].hex]: row["before"] for row in rows if row["before"] is not None})


async def not_known(_connection: Connection, _consumer: str, events: Sequence[Received]) -> list[Received]:
    """All of them: for an effect that knows by itself what it has taken in."""
    return list(events)


def name_of(consumer: str, source: str, key: str) -> str:
    """Under what a consumer's key is guarded: 32 hexadecimal digits, whatever its length.

    The digest of the consumer and of the key's own, in which guards of before have been kept (migration 0008).
    """
    return _digest(f"{consumer} {_digest(f'{source} {key}')}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def newer(events: Sequence[Received], last: dict[tuple[str, str], int]) -> list[Received]:
    """The events newer than `last` and than those before them; `last` is brought up to date."""
    found = []
    for event in events:
        envelope = event.envelope
        key = (envelope.source, envelope.key)
        if envelope.sequence is not None:
            if envelope.sequence <= last.get(key, -1):
                continue
            last[key] = envelope.sequence
        found.append(event)
    return found
