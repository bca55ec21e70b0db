"""Faults of PostgreSQL: work stopped in mid-transaction, statements that fail, connections cut, a database lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import psutil
import pytest

from tests.platform import Platform

REACHED_SECONDS = 30.0
_GATE = 0x66617574
_MAKE_GATE = f"""
    CREATE FUNCTION fault_gate() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NULL; END $$
"""
_MAKE_REFUSAL = """
    CREATE FUNCTION fault_refusal() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN {} RETURN NEW; END $$
"""
_WAITING = f"""
    SELECT l.pid, a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objid = {_GATE} AND NOT l.granted AND a.datname = current_database()
"""
_CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname LIKE 'preau%' AND ($1::text[] IS NULL OR state = ANY($1))
"""


async def connect(platform: Platform, service: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection to a service's database under its own role, which owns it."""
    return await asyncpg.connect(platform.database_url(service), timeout=10)


async def as_superuser(platform: Platform) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of the server's administrator."""
    return await asyncpg.connect(platform.administrator_url, timeout=10)


@dataclass(frozen=True, slots=True)
class Gate:
    """A point that statements reach and wait at, in the middle of their transaction."""

    connection: asyncpg.Connection[asyncpg.Record]

    async def reached_by(self) -> int:
        """Wait until somebody waits there; returns the process whose statement it is."""
        return await asyncio.to_thread(_process_at, await self.reached())

    async def reached(self) -> int:
        """Wait until somebody waits there; returns the port from which the server sees them connected."""
        deadline = time.monotonic() + REACHED_SECONDS
        while not (row := await self.connection.fetchrow(_WAITING)):
            assert time.monotonic() < deadline, "nobody came"
            await asyncio.sleep(0.01)
        return int(row["client_port"])

    async def open(self) -> None:
        """Let all go on."""
        await self.connection.execute("SELECT pg_advisory_unlock_all()")

    async def cut(self) -> None:
        """Have the server give up what waits, as it does with the work of a client that is gone."""
        await self.connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({_WAITING}) AS waiting")


def _process_at(port: int) -> int:
    there = [c.pid for c in psutil.net_connections("tcp") if c.pid and c.laddr and c.laddr.port == port]
    # What forwards a container's ports is connected too, and is no part.
    found = [pid for pid in there if "PREAU_PART" in psutil.Process(pid).environ()]
    if not found:
        pytest.skip("through another network the server does not see whose connection it is")
    return int(found[0])


@asynccontextmanager
async def gate(platform: Platform, service: str, table: str, event: str) -> AsyncIterator[Gate]:
    """Within the block, statements of a kind (`INSERT`, `DELETE`) on a table wait; afterwards they go on."""
    connection = await connect(platform, service)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_GATE})")
        await connection.execute(_MAKE_GATE)
        await connection.execute(
            f"CREATE TRIGGER fault_gate BEFORE {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fault_gate()"
        )
        yield Gate(connection)
    finally:
        # What waits holds a lock on the table, so it has to be let go before the trigger can be taken away.
        await connection.execute("SELECT pg_advisory_unlock_all()")
        await connection.execute("DROP FUNCTION fault_gate CASCADE")
        await connection.close()


@asynccontextmanager
async def refusing(
    platform: Platform, service: str, table: str, code: str, condition: str = "true"
) -> AsyncIterator[None]:
    """Within the block, writing rows of a table fails with an error of PostgreSQL where a condition on NEW holds."""
    connection = await connect(platform, service)
    body = f"IF {condition} THEN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{code}'; END IF;"
    try:
        await connection.execute(_MAKE_REFUSAL.format(body))
        await connection.execute(
            f"CREATE TRIGGER fault_refusal BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION fault_refusal()"
        )
        yield
    finally:
        await connection.execute("DROP FUNCTION fault_refusal CASCADE")
        await connection.close()


async def cut_connections(platform: Platform, *, states: list[str] | None = None) -> int:
    """End every connection to the services' databases, those in these states alone where any are named."""
    connection = await as_superuser(platform)
    try:
        return int(await connection.fetchval(_CUT, states))
    finally:
        await connection.close()


async def lose(platform: Platform, service: str) -> None:
    """Drop a service's database and make it anew, empty."""
    name = platform.database_name(service)
    connection = await as_superuser(platform)
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
    finally:
        await connection.close()
