"""Every SQL statement of the feed service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from chassis import parking
from chassis.database import Connection

# All in one statement, for a round trip is a turn of the loop, in which a projector may be at work. The generation's row is
# locked first: nobody retires it between the look at its state and the items.
_KEEP = """
    WITH kept AS MATERIALIZED (
        SELECT generation FROM generations WHERE generation = $1 AND state IN ('building', 'serving') FOR UPDATE
    ), put AS (
        INSERT INTO items AS known (id, scope, uai, category, published_at, generation, position, sequence, removed, body)
        SELECT id, scope, uai, category, published_at, generation, position, sequence, removed, body
        FROM kept, unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[], $9::bigint[],
                          $10::bool[], $11::bytea[])
            AS new (id, scope, uai, category, published_at, position, sequence, removed, body)
        ON CONFLICT (generation, id) DO UPDATE
            SET position = excluded.position, sequence = excluded.sequence, removed = excluded.removed, body = excluded.body,
                published_at = CASE WHEN excluded.removed THEN known.published_at ELSE excluded.published_at END
            WHERE known.sequence < excluded.sequence
        RETURNING (NOT new.removed)::int - (NOT coalesce(old.removed, true))::int AS more
    )
    UPDATE generations SET position = greatest(position, $2), items = items + (SELECT coalesce(sum(more), 0) FROM put)
    FROM kept WHERE generations.generation = kept.generation
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


async def keep(connection: Connection, generation: int, position: int, items: Sequence[Item]) -> None:
    """Make these the state of their items where they are newer, and remember how far the generation has come.

    Each id once. Nothing happens where the generation is kept no more.
    """
    await connection.execute(
        _KEEP,
        generation,
        position,
        [i.id for i in items],
        [i.scope for i in items],
        [i.uai for i in items],
        [i.category for i in items],
        [i.published_at for i in items],
        [i.position for i in items],
        [i.sequence for i in items],
        [i.removed for i in items],
        [i.body for i in items],
    )


# Generations


async def serving(connection: Connection) -> Generation | None:
    """The generation that is read; None while it was not looked up which one was announced last."""
    row = await connection.fetchrow(
        "SELECT generation, state, position, items FROM generations"
        " WHERE state = 'serving' AND EXISTS (SELECT FROM lineage)"
    )
    return None if row is None else Generation(**row)


async def generations(connection: Connection, *, lock: bool = False) -> list[Generation]:
    """All that are not gone, and the last of those; with `lock`, nobody else moves them until the transaction ends."""
    if lock:
        # Not the rows: they are the histories', who go on meanwhile.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    return [Generation(**row) for row in await connection.fetch(_KNOWN)]


async def knows_lineage(connection: Connection) -> bool:
    """Whether it was looked up which generation was announced last."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM lineage)")
    return found


async def remember_lineage(connection: Connection) -> None:
    """It was looked up which generation was announced last."""
    await connection.execute("INSERT INTO lineage SELECT now() WHERE NOT EXISTS (SELECT FROM lineage)")


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


async def remove_some(connection: Connection, generation: int, consumers: Sequence[str], limit: int) -> bool:
    """Remove a part of what a retired generation left; False once nothing is left, which makes it gone."""
    if await connection.execute(_REMOVE_ITEMS, generation, limit) != "DELETE 0":
        return True
    await parking.remove(connection, consumers)
    await connection.execute("DELETE FROM places WHERE consumer = ANY($1::text[])", consumers)
    await connection.execute("UPDATE generations SET state = 'gone', items = 0 WHERE generation = $1", generation)
    return False


async def parked(connection: Connection, consumers: Sequence[str]) -> int:
    """How many keys these consumers have parked."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM parked_keys WHERE consumer = ANY($1::text[])", consumers
    )
    return found


_ITEMS_OF_SCOPE = """
    (SELECT id, scope, uai, category, published_at, position, removed, body FROM items
     WHERE generation = $5 AND scope = ${} AND NOT removed
       AND ($1::timestamptz IS NULL OR (published_at, id) < ($1, $2::uuid))
       AND ($3::text IS NULL OR category = $3)
     ORDER BY published_at DESC, id DESC LIMIT $4)
"""
_FIRST_SCOPE = 6


@lru_cache
def _page_of(scopes: int) -> str:
    """The statement that reads a page of so many scopes.

    One walk along an index for each, merged as they go: hardly an item is read that is not on the page.
    """
    walks = "UNION ALL".join(_ITEMS_OF_SCOPE.format(number) for number in range(_FIRST_SCOPE, _FIRST_SCOPE + scopes))
    return f"SELECT * FROM ({walks}) AS merged ORDER BY published_at DESC, id DESC LIMIT $4"  # noqa: S608 - made of constants


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
    if not scopes:
        return []
    rows = await connection.fetch(_page_of(len(scopes)), published_at, id, category, limit, generation, *scopes)
    return [Item(**row) for row in rows]


async def changes(
    connection: Connection, scopes: Sequence[str], after: int, category: str | None, limit: int, generation: int
) -> list[Item]:
    """What changed after a place in the stream, oldest change first; removed items too."""
    rows = await connection.fetch(_AFTER, scopes, after, category, limit, generation)
    return [Item(**row) for row in rows]
