"""Sessions and tokens end in time: by themselves, and by revocations, also where PostgreSQL let go of who is told of them."""

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
from services.gateway.domain import Account, Kind, digest, new_secret
from tests.conftest import open_database

HEARD_SECONDS = 5.0
"""Far less than the half minute after which a gateway asks by itself."""
LASTS_SECONDS = 1.0
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


async def test_what_is_known_of_a_token_ends_with_it(gateway_database: Database) -> None:
    account, secret = Account(uuid4(), "amina", uuid4()), new_secret(Kind.TOKEN)
    async with gateway_database.transaction() as connection:
        await store.add_account(connection, account, "amina", None)
        await store.add_credential(connection, uuid4(), Kind.TOKEN, digest(secret), account.id, "brief", LASTS_SECONDS)
    authenticator = Authenticator(gateway_database)
    headers = {b"authorization": f"Bearer {secret}".encode()}
    found = await authenticator.principal(headers)
    assert found is not None
    assert found.account == account
    async with asyncio.timeout(LASTS_SECONDS + HEARD_SECONDS):
        while await authenticator.principal(headers):  # noqa: ASYNC110 - its end is told to nobody
            await asyncio.sleep(0.05)
