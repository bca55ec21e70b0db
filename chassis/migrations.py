"""The migration runner: plain SQL files, forward only, each applied once under a lock that all processes share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import asyncpg

from chassis.database import Connection

CHASSIS = ("chassis", Path(__file__).parent / "migrations")
"""Outbox, repeat guard, parked keys, idempotency keys, timers: a component of every service's database."""

_LOCK = 0x7072656175
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class ChangedMigration(Exception):
    """A migration that was applied has another text now; names component and version."""


async def migrate(url: str, components: Iterable[tuple[str, Path]]) -> int:
    """Bring a database up to date; `components` are (name, folder). Returns how many files were applied."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (component text, version text, digest text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (component, version))"
            )
            return sum([await _component(connection, name, folder) for name, folder in components])
    finally:
        await connection.close()


async def _component(connection: Connection, name: str, folder: Path) -> int:
    rows = await connection.fetch("SELECT version, digest FROM schema_migrations WHERE component = $1", name)
    applied = {row["version"]: row["digest"] for row in rows}
    count = 0
    for path in sorted(folder.glob("*.sql")):  # noqa: ASYNC240 - a handful of small files, before anything is served
        match = _NAME.match(path.name)
        if match is None:
            raise ValueError(f"{path.name}: a migration is named 0001_what.sql")
        text = path.read_text("utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = applied.get(match[1])
        if known is None:
            await connection.execute(text)
            await connection.execute(
                "INSERT INTO schema_migrations (component, version, digest) VALUES ($1, $2, $3)", name, match[1], digest
            )
            count += 1
        elif known != digest:
            raise ChangedMigration(f"{name} {match[1]} was changed after it was applied")
    return count
