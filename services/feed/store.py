"""Every SQL statement of the feed service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chassis.database import Connection

_PUT = """
    WITH put AS (
        INSERT INTO items AS known (id, scope, uai, category, published_at, generation, position, sequence, removed, body)
        SELECT id, scope, uai, category, published_at, $10, position, sequence, removed, body
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bigint[],
                    $8::bool[], $9::bytea[])
            AS new (id, scope, uai, category, published_at, position, sequence, removed, body)
        ON CONFLICT (generation, id) DO UPDATE
            SET position = excluded.position, sequence = excluded.sequence, removed = excluded.removed, body = excluded.body,
                published_at = CASE WHEN excluded.removed THEN known.published_at ELSE excluded.published_at END
            WHERE known.sequence < excluded.sequence
        RETURNING (NOT new.removed)::int - (NOT coalesce(old.removed, true))::int AS more
    )
    SELECT coalesce(sum(more), 0) FROM put
"""


class Item(NamedTuple):
    """An item as it stands: its scope as `guardians:pupils/<id>`, its JSON as on the wire, where it last changed."""

    id: UUID
    scope: str
    uai: str
    category: str
    published_at: datetime
    position: int
    removed: bool
    body: bytes
    sequence: int = -1
    """Of the event that made it so; only written."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation: its state, the offset of the last record taken in, how many items stand in it."""

    generation: int
    state: str
    position: int
    items: int


_LOCK = 0x67656E6572
_KNOWN = """
    SELECT generation, state, position, items FROM generations
    WHERE state <> 'gone' OR generation = (SELECT max(generation) FROM generations) ORDER BY generation
"""


async def put(connection: Connection, items: Sequence[Item], generation: int) -> int:
    """Make these the state of their items where they are newer, in one statement; each id once.

    Returns how many more stand now.
    """
    more: int = await connection.fetchval(
        _PUT,
        [i.id for i in items],
        [i.scope for i in items],
        [i.uai for i in items],
        [i.category for i in items],
        [i.published_at for i in items],
        [i.position for i in items],
        [i.sequence for i in items],
        [i.removed for i in items],
        [i.body for i in items],
        generation,
    )
    return more


async def advance(connection: Connection, generation: int, position: int) -> bool:
    """Remember how far a generation's history has come; False where it is kept no more."""
    status = await connection.execute(
        "UPDATE generations SET position = greatest(position, $2)"
        " WHERE generation = $1 AND state IN ('building', 'serving')",
        generation,
        position,
    )
    return status != "UPDATE 0"


async def count(connection: Connection, generation: int, more: int) -> None:
    """Add to how many items stand in a generation."""
    await connection.execute("UPDATE generations SET items = items + $2 WHERE generation = $1", generation, more)


# Generations


async def serving(connection: Connection) -> Generation:
    """The generation that is read."""
    row = await connection.fetchrow(
        "SELECT generation, state, position, items FROM generations WHERE state = 'serving'"
    )
    assert row is not None
    return Generation(**row)


async def generations(connection: Connection, *, lock: bool = False) -> list[Generation]:
    """All that are not gone, and the last of those; with `lock`, nobody else moves them until the transaction ends."""
    if lock:
        # Not the rows: they are the histories', who go on meanwhile.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    return [Generation(**row) for row in await connection.fetch(_KNOWN)]


async def begin(connection: Connection, generation: int) -> None:
    """Make a generation that is building."""
    await connection.execute("INSERT INTO generations (generation, state) VALUES ($1, 'building')", generation)


async def retire(connection: Connection, generation: int) -> None:
    """Keep a generation no more."""
    await connection.execute("UPDATE generations SET state = 'retired' WHERE generation = $1", generation)


async def serve(connection: Connection, generation: int) -> None:
    """Read this generation from now on; the one before was retired."""
    await connection.execute("UPDATE generations SET state = 'serving' WHERE generation = $1", generation)


_REMOVE_ITEMS = "DELETE FROM items WHERE ctid = ANY(ARRAY(SELECT ctid FROM items WHERE generation = $1 LIMIT $2))"
_REMOVE_GUARDS = """
    DELETE FROM repeat_guard WHERE ctid = ANY(ARRAY(SELECT ctid FROM repeat_guard WHERE consumer = $1 LIMIT $2))
"""


async def remove_some(connection: Connection, generation: int, consumers: Sequence[str], limit: int) -> bool:
    """Remove a part of what a retired generation left; False once nothing is left, which makes it gone."""
    if await connection.execute(_REMOVE_ITEMS, generation, limit) != "DELETE 0":
        return True
    for consumer in consumers:
        if await connection.execute(_REMOVE_GUARDS, consumer, limit) != "DELETE 0":
            return True
    await connection.execute("DELETE FROM parked_keys WHERE consumer = ANY($1::text[])", consumers)
    await connection.execute("DELETE FROM places WHERE consumer = ANY($1::text[])", consumers)
    await connection.execute("UPDATE generations SET state = 'gone', items = 0 WHERE generation = $1", generation)
    return False


async def parked(connection: Connection, consumers: Sequence[str]) -> int:
    """How many keys these consumers have parked."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM parked_keys WHERE consumer = ANY($1::text[])", consumers
    )
    return found


# One index walk per scope, merged: a family has a handful of scopes, a page thirty items.
_PAGE = """
    SELECT i.* FROM unnest($1::text[]) AS wanted (scope), LATERAL (
        SELECT id, scope, uai, category, published_at, position, removed, body FROM items
        WHERE items.generation = $6 AND items.scope = wanted.scope AND NOT removed
          AND ($2::timestamptz IS NULL OR (published_at, id) < ($2, $3::uuid))
          AND ($4::text IS NULL OR category = $4)
        ORDER BY published_at DESC, id DESC LIMIT $5
    ) AS i
    ORDER BY published_at DESC, id DESC LIMIT $5
"""
_AFTER = """
    SELECT i.* FROM unnest($1::text[]) AS wanted (scope), LATERAL (
        SELECT id, scope, uai, category, published_at, position, removed, body FROM items
        WHERE items.generation = $5 AND items.scope = wanted.scope AND position > $2 AND ($3::text IS NULL OR category = $3)
        ORDER BY position LIMIT $4
    ) AS i
    ORDER BY position LIMIT $4
"""


async def page(
    connection: Connection,
    scopes: Sequence[str],
    before: tuple[datetime, UUID] | None,
    category: str | None,
    limit: int,
    generation: int,
) -> list[Item]:
    """A page of the history, latest published first, before the place given."""
    published_at, id = before or (None, None)
    rows = await connection.fetch(_PAGE, scopes, published_at, id, category, limit, generation)
    return [Item(**row) for row in rows]


async def changes(
    connection: Connection, scopes: Sequence[str], after: int, category: str | None, limit: int, generation: int
) -> list[Item]:
    """What changed after a place in the stream, oldest change first; removed items too."""
    rows = await connection.fetch(_AFTER, scopes, after, category, limit, generation)
    return [Item(**row) for row in rows]
