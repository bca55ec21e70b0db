"""Revocations are heard of at once, also after PostgreSQL has let go of the connection on which they are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from chassis.database import Database
from services.gateway import store
from services.gateway.app import GATEWAY
from services.gateway.authentication import Authenticator
from tests.conftest import open_database

HEARD_SECONDS = 5.0
"""Far less than the half minute after which a gateway asks by itself."""
_LISTENING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1) AND query LIKE 'LISTEN%'
"""


@pytest.fixture
async def gateway_database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url, GATEWAY)
    yield opened
    await opened.close()


async def revoke(database: Database, credential: UUID) -> None:
    async with database.connection() as connection:
        await connection.execute("SELECT pg_notify($1, $2)", store.REVOKED_CHANNEL, str(credential))


async def listener(database: Database, *, other_than: int = 0) -> int:
    """The server's process that tells of revocations, once there is one."""
    async with database.connection() as connection, asyncio.timeout(2 * HEARD_SECONDS):
        while not (pid := await connection.fetchval(_LISTENING, other_than)):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)
    return int(pid)


async def test_a_revocation_is_heard_of_after_the_connection_was_cut(gateway_database: Database) -> None:
    authenticator = Authenticator(gateway_database)
    heard: asyncio.Queue[UUID] = asyncio.Queue()
    authenticator.on_revoked = heard.put_nowait
    task = asyncio.create_task(authenticator.listen(gateway_database.settings.direct_url(), list))
    try:
        before = await listener(gateway_database)
        async with gateway_database.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend($1)", before)
        await listener(gateway_database, other_than=before)
        credential = uuid4()
        await revoke(gateway_database, credential)
        assert await asyncio.wait_for(heard.get(), HEARD_SECONDS) == credential
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
