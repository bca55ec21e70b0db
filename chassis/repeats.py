"""Repeats: the last sequence of each source and key is kept with the effect, and an event not newer is dropped.

It absorbs redelivery, a relay that sends again and a consumer that wakes late, and grows with keys, not with events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chassis.database import Connection

if TYPE_CHECKING:
    from chassis.consumer import Received

# Rows are taken in one order by all consumers, so that two that share keys after a rebalance cannot deadlock.
_ADVANCE = """
    INSERT INTO repeat_guard AS guard (consumer, source, key, sequence)
    SELECT $1, source, key, sequence FROM unnest($2::text[], $3::text[], $4::bigint[]) AS seen (source, key, sequence)
    ON CONFLICT (consumer, source, key) DO UPDATE SET sequence = greatest(guard.sequence, excluded.sequence)
    RETURNING source, key, old.sequence AS before
"""


async def only_new(connection: Connection, consumer: str, events: Sequence[Received]) -> list[Received]:
    """The events not seen before, in order; remembers them in the caller's transaction.

    Events without a sequence (beats) are always new.
    """
    greatest: dict[tuple[str, str], int] = {}
    for event in events:
        envelope = event.envelope
        if envelope.sequence is not None:
            name = (envelope.source, envelope.key)
            greatest[name] = max(envelope.sequence, greatest.get(name, -1))
    if not greatest:
        return list(events)
    names = sorted(greatest)
    rows = await connection.fetch(
        _ADVANCE, consumer, [s for s, _ in names], [k for _, k in names], [greatest[name] for name in names]
    )
    return newer(events, {(row["source"], row["key"]): row["before"] for row in rows if row["before"] is not None})


def newer(events: Sequence[Received], last: dict[tuple[str, str], int]) -> list[Received]:
    """The events newer than `last` and than those before them; `last` is brought up to date."""
    found = []
    for event in events:
        envelope = event.envelope
        name = (envelope.source, envelope.key)
        if envelope.sequence is not None:
            if envelope.sequence <= last.get(name, -1):
                continue
            last[name] = envelope.sequence
        found.append(event)
    return found
