"""Statements on messages: queued with the event they tell, claimed and settled in batches, kept for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.database import Connection
from services.notify.domain import Reason, Says, Step

# The unsent message of a thread takes the newer event; its pauses stay what they were.
_QUEUE = """
    INSERT INTO messages AS known
        (fact, person, channel, category, pupil, event, event_type, event_data, fact_at, due_at)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::bytea[],
                         $9::timestamptz[], $10::timestamptz[])
    ON CONFLICT (fact, person, channel) WHERE state = 'queued' DO UPDATE
        SET event = excluded.event, event_type = excluded.event_type, event_data = excluded.event_data,
            fact_at = excluded.fact_at, due_at = greatest(known.due_at, excluded.due_at)
"""
# A message whose thread has one leaving waits for it: what it says depends on that.
_CLAIM = """
    WITH expired AS (
        SELECT id FROM messages WHERE state = 'sending' AND leased_until < clock_timestamp()
        ORDER BY leased_until LIMIT $1 FOR UPDATE SKIP LOCKED
    ), due AS (
        SELECT id FROM messages AS m WHERE state = 'queued' AND due_at <= clock_timestamp()
           AND NOT EXISTS (SELECT 1 FROM messages AS leaving WHERE leaving.state = 'sending'
                           AND (leaving.fact, leaving.person, leaving.channel) = (m.fact, m.person, m.channel))
        ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    ), taken AS (SELECT id FROM expired UNION ALL SELECT id FROM due LIMIT $1)
    UPDATE messages SET state = 'sending', lease = $2, leased_until = clock_timestamp() + make_interval(secs => $3),
           attempts = attempts + 1
    FROM taken WHERE messages.id = taken.id
    RETURNING messages.id, fact, person, channel, category, pupil, event, event_type, event_data, attempts,
              old.state = 'sending' AS repeated
"""
_TOLD = """
    SELECT last.* FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS wanted (fact, person, channel), LATERAL (
        SELECT fact, person, channel, event, event_type, event_data, message_id FROM messages AS m
        WHERE (m.fact, m.person, m.channel) = (wanted.fact, wanted.person, wanted.channel) AND m.state = 'sent'
        ORDER BY id DESC LIMIT 1
    ) AS last
"""
_ADDRESSED = """
    UPDATE messages SET says = ready.says, message_id = ready.message_id
    FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS ready (id, says, message_id) WHERE messages.id = ready.id
"""
_CANCEL = """
    UPDATE messages SET state = 'cancelled', reason = hindered.reason, done_at = clock_timestamp(),
           lease = NULL, leased_until = NULL
    FROM unnest($1::bigint[], $2::text[]) AS hindered (id, reason) WHERE messages.id = hindered.id
"""
# A message that goes back to the queue finds a newer event of its thread there, and has been replaced.
_SETTLE = """
    UPDATE messages AS m
    SET state = CASE WHEN replaced THEN 'cancelled' ELSE step.state END,
        reason = CASE WHEN replaced THEN 'replaced' ELSE step.reason END,
        due_at = CASE WHEN step.state = 'queued' THEN clock_timestamp() + make_interval(secs => step.seconds)
                      ELSE m.due_at END,
        leased_until = CASE WHEN step.state = 'sending' THEN clock_timestamp() + make_interval(secs => step.seconds) END,
        lease = NULL, attempts = m.attempts - CASE WHEN step.attempt THEN 0 ELSE 1 END,
        done_at = CASE WHEN replaced OR step.state IN ('sent', 'failed') THEN clock_timestamp() END
    FROM (
        SELECT s.*, s.state = 'queued' AND EXISTS (
            SELECT 1 FROM messages AS own JOIN messages AS newer
                ON (newer.fact, newer.person, newer.channel) = (own.fact, own.person, own.channel)
            WHERE own.id = s.id AND newer.state = 'queued'
        ) AS replaced
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $6::boolean[]) AS s (id, state, reason, seconds, attempt)
    ) AS step
    WHERE m.id = step.id AND m.state = 'sending' AND m.lease = $5
    RETURNING m.id, m.state, extract(epoch FROM clock_timestamp() - m.fact_at)::float8 AS seconds
"""
_PAGE = """
    SELECT id, fact, pupil, category, channel, state, says, reason, message_id, queued_at, due_at, done_at, attempts
    FROM messages WHERE person = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message to be queued: whom to tell which event."""

    fact: UUID
    person: UUID
    channel: str
    category: str
    pupil: UUID
    event: UUID
    event_type: str
    event_data: bytes
    fact_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message claimed; `repeated` where it had been claimed before and nobody knows what became of it."""

    id: int
    fact: UUID
    person: UUID
    channel: str
    category: str
    pupil: UUID
    event: UUID
    event_type: str
    event_data: bytes
    attempts: int
    repeated: bool

    @property
    def thread(self) -> Thread:
        """The thread it belongs to."""
        return self.fact, self.person, self.channel


Thread = tuple[UUID, UUID, str]
"""Fact, person, channel."""


@dataclass(frozen=True, slots=True)
class Told:
    """The event that the last message sent in a thread told, and that message's identity."""

    event: UUID
    event_type: str
    event_data: bytes
    message_id: UUID


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its recipient may read of it."""

    id: int
    fact: UUID
    pupil: UUID
    category: str
    channel: str
    state: str
    says: str | None
    reason: str | None
    message_id: UUID | None
    queued_at: datetime
    due_at: datetime
    done_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages have not been settled, and for how many seconds the oldest that is due has waited."""

    queued: int
    sending: int
    oldest_seconds: float


async def queue(connection: Connection, messages: Sequence[Queued]) -> None:
    """Queue messages, each thread once; one that has not left is replaced."""
    await connection.execute(
        _QUEUE,
        [m.fact for m in messages],
        [m.person for m in messages],
        [m.channel for m in messages],
        [m.category for m in messages],
        [m.pupil for m in messages],
        [m.event for m in messages],
        [m.event_type for m in messages],
        [m.event_data for m in messages],
        [m.fact_at for m in messages],
        [m.due_at for m in messages],
    )


async def people_of(connection: Connection, facts: Iterable[UUID]) -> dict[UUID, dict[UUID, bool]]:
    """Who has messages on these facts, and whether one of them has not left yet: fact -> person -> waiting."""
    rows = await connection.fetch(
        "SELECT fact, person, bool_or(state = 'queued') AS waiting FROM messages WHERE fact = ANY($1::uuid[])"
        " GROUP BY fact, person",
        list(set(facts)),
    )
    found: dict[UUID, dict[UUID, bool]] = {}
    for row in rows:
        found.setdefault(row["fact"], {})[row["person"]] = row["waiting"]
    return found


async def claim(connection: Connection, limit: int, lease: UUID, seconds: float) -> list[Claimed]:
    """Take up to `limit` messages that are due, or whose worker did not come back, for `seconds`."""
    return [Claimed(**row) for row in await connection.fetch(_CLAIM, limit, lease, seconds)]


async def told(connection: Connection, threads: Iterable[Thread]) -> dict[Thread, Told]:
    """What the last message sent in each of these threads told."""
    wanted = list(set(threads))
    rows = await connection.fetch(_TOLD, [f for f, _, _ in wanted], [p for _, p, _ in wanted], [c for *_, c in wanted])
    return {
        (row["fact"], row["person"], row["channel"]): Told(
            row["event"], row["event_type"], row["event_data"], row["message_id"]
        )
        for row in rows
    }


async def address(connection: Connection, ready: Sequence[tuple[int, Says, UUID]]) -> None:
    """Keep what claimed messages say and under which identity they leave."""
    await connection.execute(_ADDRESSED, [i for i, _, _ in ready], [s for _, s, _ in ready], [m for *_, m in ready])


async def cancel(connection: Connection, hindered: Sequence[tuple[int, Reason]]) -> None:
    """Settle claimed messages that are not to be sent."""
    await connection.execute(_CANCEL, [i for i, _ in hindered], [r for _, r in hindered])


async def settle(connection: Connection, steps: Sequence[Step], lease: UUID) -> list[tuple[int, str, float]]:
    """Store what became of claimed messages, in one statement; a lease that was lost stores nothing.

    Returns of each: id, its state now, seconds since its fact.
    """
    rows = await connection.fetch(
        _SETTLE,
        [s.message for s in steps],
        [s.state for s in steps],
        [s.reason for s in steps],
        [s.seconds for s in steps],
        lease,
        [s.attempt for s in steps],
    )
    return [(row["id"], row["state"], row["seconds"]) for row in rows]


async def prune(connection: Connection, days: float, limit: int) -> int:
    """Delete up to `limit` messages settled longer ago than that; returns how many."""
    status = await connection.execute(
        "DELETE FROM messages WHERE id IN (SELECT id FROM messages"
        " WHERE done_at < clock_timestamp() - make_interval(secs => $1) ORDER BY done_at LIMIT $2)",
        days * 86400,
        limit,
    )
    return int(status.removeprefix("DELETE "))


async def page(connection: Connection, person: UUID, before: int | None, limit: int) -> list[Message]:
    """A person's messages, newest first, before the given id."""
    return [Message(**row) for row in await connection.fetch(_PAGE, person, before, limit)]


async def depth(connection: Connection) -> Depth:
    """What waits."""
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'sending') AS sending,"
        " coalesce(extract(epoch FROM clock_timestamp() - min(queued_at) FILTER (WHERE state = 'queued'"
        " AND due_at <= clock_timestamp())), 0)::float8 AS oldest_seconds"
        " FROM messages WHERE state IN ('queued', 'sending')"
    )
    assert row is not None
    return Depth(**row)
