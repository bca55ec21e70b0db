"""Every SQL statement of the directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from asyncpg import Record

from chassis.database import Connection
from chassis.outbox import APPEND_CTE, append, columns
from contracts.directory import PersonChanged
from services.directory.documents import Document, event_of, key_of, mentions_of, parse, tombstone

_WRITER_LOCK = 0x6469726563746F72
_AT_ONCE = 20_000
"""Keys that are looked up at a time: each look walks all that points at the schools."""

# The event is the document: its JSON is sent once, for the outbox and for the row.
_SAVE = f"""
    WITH told AS ({APPEND_CTE.format(topics="$1", keys="$2", headers="$3", values="$4")} RETURNING id, key, value),
    kept AS (
        INSERT INTO entities (key, body, mentions, version, source, stated)
        SELECT key, convert_from(told.value, 'UTF8'), string_to_array(given.mentions, ' '), told.id, given.source, given.stated
        FROM told JOIN unnest($2::text[], $5::text[], $6::text[], $7::text[]) AS given (key, mentions, source, stated)
             USING (key)
        ON CONFLICT (key) DO UPDATE
            SET body = excluded.body, mentions = excluded.mentions, version = excluded.version,
                source = excluded.source, stated = excluded.stated
    )
    UPDATE directory_position SET sequence = greatest(sequence, (SELECT max(id) FROM told)) RETURNING sequence
"""  # noqa: S608 - the outbox' own insert, with places for the values
_LOAD = "SELECT key, body, version, source, stated FROM entities WHERE key = ANY($1::text[])"
_MENTIONING = """
    SELECT key, body, version, source, stated FROM entities
    WHERE mentions @> $1::text[] AND key >= $2 AND key < $3 ORDER BY key
"""
_PREFIX = "SELECT key, body, version, source, stated FROM entities WHERE key > $1 AND key < $2 ORDER BY key LIMIT $3"
_UNCHANGED = """
    SELECT key FROM unnest($2::text[], $3::text[]) AS given (key, stated)
    JOIN entities USING (key) WHERE entities.source = $1 AND coalesce(entities.stated, body) = given.stated
"""
_RESTATE = """
    UPDATE entities SET source = given.source, stated = nullif(given.stated, body)
    FROM unnest($1::text[], $2::text[], $3::text[]) AS given (key, source, stated)
    WHERE entities.key = given.key
"""
_OF_SOURCE = "SELECT key FROM entities WHERE source = $1 AND mentions && $2::text[] AND key > $3 ORDER BY key LIMIT $4"

_SAVE_SOURCE = """
    INSERT INTO sources (source, revision, digest, authority, newest, report) VALUES ($1, 1, $2, $3, $4, $5)
    ON CONFLICT (source) DO UPDATE SET revision = sources.revision + 1, digest = excluded.digest,
        authority = excluded.authority, newest = excluded.newest, report = excluded.report
"""
_SOURCE_PARTS = "SELECT file, rows FROM source_rows WHERE source = $1 ORDER BY file, part"


@dataclass(frozen=True, slots=True)
class Entity:
    """A stored document with its version and, when it was imported, what its source said last (JSON)."""

    document: Document
    version: int = 0
    source: str | None = None
    stated: str | None = None

    @property
    def key(self) -> str:
        """The record key."""
        return key_of(self.document)


async def lock_writers(connection: Connection) -> None:
    """Be the only writer until the transaction ends.

    So outbox sequences grow in commit order over the whole directory, and the last one is a position: who has seen it has
    seen everything before it. It stands for the locks of the single keys too.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _WRITER_LOCK)


async def save(
    connection: Connection, entities: Sequence[Entity], bodies: Mapping[str, bytes] = MappingProxyType({})
) -> int:
    """Store and publish these documents, each key once; returns the new position. The caller is the only writer.

    `bodies` are the JSON texts, by key, of documents that have been serialised before.
    """
    events = []
    stated = []
    for entity in entities:
        key = entity.key
        event = event_of(entity.document, key, bodies.get(key))
        events.append(event)
        # Mostly a document is what its source says, and then its text is kept once.
        same = entity.stated is not None and entity.stated.encode() == event.value
        stated.append(None if same else entity.stated)
    found: int = await connection.fetchval(
        _SAVE,
        *columns(events),
        [" ".join(mentions_of(entity.document)) for entity in entities],
        [entity.source for entity in entities],
        stated,
    )
    return found


async def erase(connection: Connection, entity: Entity) -> int:
    """Remove a person's row and owe their tombstone; returns the new position."""
    assert isinstance(entity.document, PersonChanged)
    sequences = await append(connection, [tombstone(entity.document)])
    await connection.execute("DELETE FROM entities WHERE key = $1", entity.key)
    return await _advance(connection, sequences)


async def _advance(connection: Connection, sequences: Sequence[int]) -> int:
    if sequences:
        await connection.execute("UPDATE directory_position SET sequence = greatest(sequence, $1)", max(sequences))
    return await position(connection)


async def position(connection: Connection) -> int:
    """How far the directory has come."""
    found: int = await connection.fetchval("SELECT sequence FROM directory_position")
    return found


async def load(connection: Connection, keys: Iterable[str]) -> dict[str, Entity]:
    """The entities of these keys that exist."""
    return {row["key"]: _entity(row) for row in await connection.fetch(_LOAD, list(keys))}


async def mentioning(connection: Connection, kind: str, *mentioned: str) -> list[Entity]:
    """Entities of a kind (`people`, `groups`) that point at all of these record keys."""
    return [_entity(row) for row in await connection.fetch(_MENTIONING, list(mentioned), f"{kind}/", f"{kind}0")]


async def page(connection: Connection, kind: str, after: str, limit: int) -> list[Entity]:
    """Entities of a kind by key, after the one whose key is `<kind>/<after>`."""
    return [_entity(row) for row in await connection.fetch(_PREFIX, f"{kind}/{after}", f"{kind}0", limit)]


async def unchanged(connection: Connection, source: str, keys: Sequence[str], stated: Sequence[str]) -> set[str]:
    """Which of these a source states exactly as it did last time."""
    return {row["key"] for row in await connection.fetch(_UNCHANGED, source, keys, stated)}


async def restate(connection: Connection, entities: Sequence[Entity]) -> None:
    """Remember what a source said where it changed no document."""
    keys = [entity.key for entity in entities]
    await connection.execute(_RESTATE, keys, [e.source for e in entities], [e.stated for e in entities])


async def keys_of_source(connection: Connection, source: str, schools: Sequence[str]) -> AsyncIterator[str]:
    """Record keys of what a source brought and that points at one of these schools, in order."""
    after = ""
    while rows := await connection.fetch(_OF_SOURCE, source, schools, after, _AT_ONCE):
        after = rows[-1]["key"]
        for row in rows:
            yield row["key"]


async def source_head(connection: Connection, source: str) -> Record | None:
    """Of a source: revision, digest, authority, newest; None when it never brought anything."""
    return await connection.fetchrow(
        "SELECT revision, digest, authority, newest FROM sources WHERE source = $1", source
    )


async def source_report(connection: Connection, source: str, digest: str, authority: str) -> str | None:
    """What was reported of this very package, where it is what the source brought last; else None."""
    report: str | None = await connection.fetchval(
        "SELECT report FROM sources WHERE source = $1 AND digest = $2 AND authority = $3", source, digest, authority
    )
    return report


async def source_parts(connection: Connection, source: str) -> dict[str, list[bytes]]:
    """The packed rows a source said last, by file."""
    found: dict[str, list[bytes]] = {}
    for row in await connection.fetch(_SOURCE_PARTS, source):
        found.setdefault(row["file"], []).append(row["rows"])
    return found


async def save_source(
    connection: Connection,
    source: str,
    digest: str,
    authority: str,
    newest: datetime | None,
    parts: Mapping[str, Sequence[bytes]],
    report: str | None,
) -> None:
    """Remember what a source said and what its import reported; its revision grows."""
    await connection.execute(_SAVE_SOURCE, source, digest, authority, newest, report)
    await connection.execute("DELETE FROM source_rows WHERE source = $1", source)
    await connection.executemany(
        "INSERT INTO source_rows (source, file, part, rows) VALUES ($1, $2, $3, $4)",
        [(source, file, n, rows) for file, packed in parts.items() for n, rows in enumerate(packed)],
    )


async def now(connection: Connection) -> datetime:
    """The database's clock, which judges dates."""
    found: datetime = await connection.fetchval("SELECT now()")
    return found


def _entity(row: Record) -> Entity:
    stated = row["stated"] if row["stated"] is not None or row["source"] is None else row["body"]
    return Entity(parse(row["key"], row["body"]), row["version"], row["source"], stated)
