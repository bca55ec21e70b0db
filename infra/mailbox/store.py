"""The kept messages: one SQLite file, each message in it before its sender is told so, the oldest removed for room."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from infra.mailbox.messages import folded, read

T = TypeVar("T")

TEXT_LISTED = 20_000
"""Characters of a message's text that lists of messages hold."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL, -- JSON array
    lowered TEXT NOT NULL, -- recipients in small letters, each between line feeds
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    in_reply_to TEXT NOT NULL,
    searched TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    text TEXT, -- its beginning
    raw BLOB NOT NULL
);
"""
_COLUMNS = "id, received_at, sender, recipients, subject, message_id, in_reply_to, bytes"
_ADD = """
    INSERT INTO messages
        (received_at, sender, recipients, lowered, subject, message_id, in_reply_to, searched, bytes, text, raw)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM = """
    DELETE FROM messages WHERE id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER later AS place, sum(bytes) OVER later AS held FROM messages
            WINDOW later AS (ORDER BY id DESC)
        ) WHERE place > ? OR held > ?
    )
"""
_LATEST = f"""
    SELECT {_COLUMNS} FROM messages
    WHERE (?1 IS NULL OR id < ?1) AND instr(searched, ?2) > 0
    ORDER BY id DESC LIMIT ?3
"""  # noqa: S608 - constants alone
_AFTER = f"""
    SELECT {_COLUMNS}, text FROM messages
    WHERE id > ?1 AND (?2 = '' OR instr(lowered, char(10) || ?2 || char(10)) > 0)
    ORDER BY id LIMIT ?3
"""  # noqa: S608 - constants alone


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it is listed; `recipients` are those of the SMTP envelope."""

    id: int
    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    subject: str
    message_id: str
    in_reply_to: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much is kept."""

    messages: int
    bytes: int


class MessageStore:
    """The messages of one mailbox; every method may be called from any task, one thread does the work."""

    def __init__(self, file: Path, room: Room) -> None:
        self._file = file
        self._room = room
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mailbox")
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, made on first use for its owner alone."""
        await self._do(self._open)

    async def close(self) -> None:
        """Close the file."""
        await self._do(lambda database: database.close())
        self._database = None
        self._thread.shutdown()

    async def add(self, sender: str, recipients: list[str], raw: bytes) -> int:
        """Keep a message; returns its id once it is on the disk."""
        return await self._do(lambda database: self._add(database, sender, recipients, raw))

    async def latest(self, search: str, before: int | None, limit: int) -> list[Kept]:
        """Messages whose recipients or subject hold the searched text, newest first, below an id."""
        asked = (before, folded(" ".join(search.split())), limit)
        return await self._do(lambda database: [_kept(row) for row in database.execute(_LATEST, asked)])

    async def after(self, recipient: str, after: int, limit: int) -> list[tuple[Kept, str | None]]:
        """Messages to a recipient (empty: to anybody) above an id, oldest first, with the beginning of their text."""
        asked = (after, recipient.lower(), limit)
        return await self._do(lambda database: [(_kept(row[:-1]), row[-1]) for row in database.execute(_AFTER, asked)])

    async def one(self, id: int) -> tuple[Kept, bytes] | None:
        """One message with its bytes; None where there is none."""
        statement = f"SELECT {_COLUMNS}, raw FROM messages WHERE id = ?"  # noqa: S608 - constants alone
        row = await self._do(lambda database: database.execute(statement, (id,)).fetchone())
        return None if row is None else (_kept(row[:-1]), row[-1])

    async def newest(self) -> int:
        """The id of the newest message; 0 where there is none."""
        statement = "SELECT coalesce(max(id), 0) FROM messages"
        return int(await self._do(lambda database: database.execute(statement).fetchone()[0]))

    async def clear(self) -> None:
        """Remove every message; ids go on growing."""

        def remove(database: sqlite3.Connection) -> None:
            with database:
                database.execute("DELETE FROM messages")

        await self._do(remove)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            if self._database is None:
                self._database = self._connect()
            return work(self._database)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _connect(self) -> sqlite3.Connection:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        return sqlite3.connect(self._file)

    @staticmethod
    def _open(database: sqlite3.Connection) -> None:
        # FULL: a message that was acknowledged survives a power cut. What is removed is overwritten, not merely let go.
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            database.execute(f"PRAGMA {setting}")
        database.executescript(_SCHEMA)

    def _add(self, database: sqlite3.Connection, sender: str, recipients: list[str], raw: bytes) -> int:
        content = read(raw)
        subject = content.header("subject")
        row = (
            datetime.now(UTC).isoformat(),
            sender,
            json.dumps(recipients),
            "\n".join(["", *(one.lower() for one in recipients), ""]),
            subject,
            content.header("message-id"),
            content.header("in-reply-to"),
            folded(" ".join([*recipients, subject])),
            len(raw),
            content.text[:TEXT_LISTED] if content.text else content.text,
            raw,
        )
        with database:
            added = database.execute(_ADD, row).lastrowid
            database.execute(_TRIM, (self._room.messages, self._room.bytes))
        assert added is not None
        return added


def _kept(row: tuple[int, str, str, str, str, str, str, int]) -> Kept:
    id, received_at, sender, recipients, *rest, size = row
    subject, message_id, in_reply_to = rest
    return Kept(
        int(id),
        datetime.fromisoformat(received_at),
        sender,
        tuple(json.loads(recipients)),
        str(subject),
        str(message_id),
        str(in_reply_to),
        int(size),
    )
