"""Every SQL statement about activation codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.database import Connection


async def put_codes(
    connection: Connection, codes: Sequence[tuple[UUID, bytes]], made_by: str, seconds: float
) -> datetime:
    """Keep codes (person, digest) that end by themselves after some seconds; a person's former code ends now."""
    ends: datetime = await connection.fetchval("SELECT now() + make_interval(secs => $1)", seconds)
    await connection.execute(
        "INSERT INTO activation_codes (person, digest, made_by, expires_at)"
        " SELECT person, digest, $3, $4 FROM unnest($1::uuid[], $2::bytea[]) AS new (person, digest) ORDER BY person"
        " ON CONFLICT (person) DO UPDATE SET digest = excluded.digest, made_by = excluded.made_by,"
        " created_at = now(), expires_at = excluded.expires_at",
        [person for person, _ in codes],
        [digest for _, digest in codes],
        made_by,
        ends,
    )
    return ends


async def use_code(connection: Connection, digest: bytes) -> UUID | None:
    """Whose code this is; it is used up when this commits. None for one that is unknown, used or over."""
    found: UUID | None = await connection.fetchval(
        "DELETE FROM activation_codes WHERE digest = $1 AND expires_at > now() RETURNING person", digest
    )
    return found


async def remove_code(connection: Connection, person: UUID) -> None:
    """End a person's code."""
    await connection.execute("DELETE FROM activation_codes WHERE person = $1", person)
