"""PostgreSQL: a pool with deadlines, transactions, and what happens after a commit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from chassis.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
else:
    Connection = asyncpg.Connection


class Unavailable(Exception):
    """The database cannot be had in time; the request is answered 503 and may be sent again."""


class RolledBack(Exception):
    """A transaction whose failed statement was passed over: the server answers its COMMIT by rolling back."""


UNREACHABLE = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    # A database that is being put back.
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that is closed under it in the middle of a statement.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    Unavailable,
    TimeoutError,
)
"""Errors of the infrastructure: what failed was not the data, so the same work may succeed later."""


class _LeanConnection(asyncpg.Connection):
    """A connection whose return to the pool costs no round trip: nothing here leaves session state behind."""

    def get_reset_query(self) -> str:
        return ""


class Database:
    """One service's database. Open it once a process; every wait on it has a deadline."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self._pool: asyncpg.Pool[Record] | None = None
        self._after_commit: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Connect; raises what the driver raises when the server cannot be reached."""
        self._pool = await asyncpg.create_pool(
            self.settings.url(),
            min_size=1,
            max_size=self.settings.pool_size,
            command_timeout=self.settings.statement_seconds,
            connection_class=_LeanConnection,
            max_inactive_connection_lifetime=300,
        )

    async def close(self) -> None:
        """Give every connection back; cuts what is still busy after a few seconds."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), 3)
        except TimeoutError:
            self._pool.terminate()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this (quickly, without waiting) after each transaction that committed: it wakes relay and timers."""
        self._after_commit.append(call)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection without a transaction, for reads; raises `Unavailable` when none is free in time."""
        if self._pool is None:
            raise Unavailable("the database is not open")
        try:
            # The pool's own deadline takes a task.
            async with asyncio.timeout(self.settings.acquire_seconds):
                acquired = await self._pool.acquire()
        except (TimeoutError, OSError, asyncpg.PostgresConnectionError, asyncpg.TooManyConnectionsError) as error:
            raise Unavailable("no connection in time") from error
        except asyncpg.CannotConnectNowError as error:
            raise Unavailable("the server is starting or stopping") from error
        try:
            yield acquired
        finally:
            await self._pool.release(acquired, timeout=self.settings.acquire_seconds)

    @asynccontextmanager
    async def transaction(
        self, first: str = "", last: Callable[[], str] | None = None, announce: str = ""
    ) -> AsyncIterator[Connection]:
        """A connection in a transaction that commits on leaving and rolls back on an exception.

        `first` and what `last` gives are statements without arguments (locks, say) that go along with BEGIN and with
        COMMIT, so that they cost no round trip of their own; what they return is not seen. `announce` is a channel
        that is notified behind the COMMIT, in a transaction of its own, instead of what `after_commit` calls.
        """
        async with self.connection() as connection:
            try:
                await connection.execute(f"BEGIN; {first}")
                yield connection
                ended = await connection.execute(
                    f"{last() if last else ''}; COMMIT{f'; NOTIFY {announce}' if announce else ''}"
                )
            except BaseException:
                await _roll_back(connection)
                raise
            if ended == "ROLLBACK":
                raise RolledBack("a statement of the transaction had failed")
            if not announce:
                for call in self._after_commit:
                    call()


async def _roll_back(connection: Connection) -> None:
    # What made the transaction fail is what is told, whatever becomes of a connection that may be lost.
    with contextlib.suppress(*UNREACHABLE):
        await connection.execute("ROLLBACK")


def lock_number(kind: bytes, name: bytes) -> int:
    """The advisory lock of a name; `kind`, of at most 16 bytes, keeps the locks of different things apart."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=8, person=kind).digest(), "big", signed=True)


def literal(value: str | bytes) -> str:
    """A text or bytes as a part of a statement without arguments; no quote of theirs can end it."""
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    return f"convert_from('\\x{value.encode().hex()}', 'UTF8')"
