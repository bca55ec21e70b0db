"""The small school with addresses, and a mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chassis.database import Database
from contracts.directory import RoleName
from roster.replica import ROSTER
from services.notify.app import MIGRATIONS
from tests.conftest import open_database
from tests.notify.facts import learn
from tests.notify.mailserver import MailServer, mail_server
from tests.rosters import adult, small_school


@pytest.fixture
async def notify(database_url: str) -> AsyncIterator[Database]:
    """Notify's database; mother and father of zoé have an address each, her nanny has one and no right."""
    database = await open_database(database_url, ROSTER, MIGRATIONS)
    people = [
        adult(name, RoleName.GUARDIAN).model_copy(update={"email": f"{name}@exemple.fr"})
        for name in ("mother", "father", "nanny")
    ]
    async with database.transaction() as connection:
        await learn(connection, [*small_school(), *people])
    yield database
    await database.close()


@pytest.fixture
async def post() -> AsyncIterator[MailServer]:
    """A mail server that accepts everything unless told otherwise."""
    async with mail_server() as found:
        yield found
