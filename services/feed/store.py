"""Every SQL statement of the feed service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.database import Connection

_PUT = """
    INSERT INTO items (id, scope, uai, category, published_at, generation, position, removed, body)
    SELECT id, scope, uai, category, published_at, $9, position, removed, body
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bool[], $8::bytea[])
        AS new (id, scope, uai, category, published_at, position, removed, body)
    ON CONFLICT (id) DO UPDATE
        SET position = excluded.position, removed = excluded.removed, body = excluded.body,
            generation = excluded.generation,
            published_at = CASE WHEN excluded.removed THEN items.published_at ELSE excluded.published_at END
"""


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it stands: its scope as `guardians:pupils/<id>`, its JSON as on the wire, where it last changed."""

    id: UUID
    scope: str
    uai: str
    category: str
    published_at: datetime
    position: int
    removed: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class State:
    """How far the history has come: generation of the topic and offset of the last record taken in."""

    generation: int
    position: int


async def put(connection: Connection, items: Sequence[Item], generation: int) -> None:
    """Make these the state of their items, in one statement; each id once."""
    await connection.execute(
        _PUT,
        [i.id for i in items],
        [i.scope for i in items],
        [i.uai for i in items],
        [i.category for i in items],
        [i.published_at for i in items],
        [i.position for i in items],
        [i.removed for i in items],
        [i.body for i in items],
        generation,
    )


async def advance(connection: Connection, generation: int, position: int) -> None:
    """Remember how far the history has come."""
    await connection.execute(
        "UPDATE feed_state SET generation = $1, position = greatest(position, $2)", generation, position
    )


async def state(connection: Connection) -> State:
    """How far the history has come."""
    row = await connection.fetchrow("SELECT generation, position FROM feed_state")
    assert row is not None
    return State(row["generation"], row["position"])


# One index walk per scope, merged: a family has a handful of scopes, a page thirty items.
_PAGE = """
    SELECT i.* FROM unnest($1::text[]) AS wanted (scope), LATERAL (
        SELECT id, scope, uai, category, published_at, position, removed, body FROM items
        WHERE items.scope = wanted.scope AND NOT removed
          AND ($2::timestamptz IS NULL OR (published_at, id) < ($2, $3::uuid))
          AND ($4::text IS NULL OR category = $4)
        ORDER BY published_at DESC, id DESC LIMIT $5
    ) AS i
    ORDER BY published_at DESC, id DESC LIMIT $5
"""
_AFTER = """
    SELECT i.* FROM unnest($1::text[]) AS wanted (scope), LATERAL (
        SELECT id, scope, uai, category, published_at, position, removed, body FROM items
        WHERE items.scope = wanted.scope AND position > $2 AND ($3::text IS NULL OR category = $3)
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
) -> list[Item]:
    """A page of the history, latest published first, before the place given."""
    published_at, id = before or (None, None)
    rows = await connection.fetch(_PAGE, scopes, published_at, id, category, limit)
    return [Item(**row) for row in rows]


async def changes(
    connection: Connection, scopes: Sequence[str], after: int, category: str | None, limit: int
) -> list[Item]:
    """What changed after a place in the stream, oldest change first; removed items too."""
    return [Item(**row) for row in await connection.fetch(_AFTER, scopes, after, category, limit)]
