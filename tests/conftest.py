"""Fixtures every test may use: one real PostgreSQL and one real Kafka a session, a fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chassis.database import Database
from chassis.migrations import CHASSIS, migrate
from chassis.settings import DatabaseSettings
from infra.local.home import Home
from infra.local.kafka import Kafka
from infra.local.postgres import Postgres
from roster.replica import ROSTER
from tests.platform import platform
from tests.servers import CONTAINERS, EMBEDDED, URLS, refuse_missing_urls
from tests.sharing import Sharing

__all__ = ["platform"]

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the platform of journeys and faults stands on, and how long the faults last."""
    parser.addoption(
        "--backends",
        choices=(EMBEDDED, CONTAINERS, URLS),
        default=EMBEDDED,
        help="servers of the running platform: embedded ones, containers, or those PREAU_POSTGRES_URL and PREAU_KAFKA give",
    )
    parser.addoption(
        "--faults",
        choices=("short", "full"),
        default="short",
        help="short: each fault once, for seconds; full: at full length, several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse servers that can't be had once, before any test."""
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--backends") == CONTAINERS:
        from tests.containers import refuse_missing_images  # noqa: PLC0415 - Docker is for those who ask for it

        refuse_missing_images()
    elif config.getoption("--backends") == URLS:
        refuse_missing_urls()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    """Where workers share the tests, share them so that the platform is started once."""
    return Sharing(config, log)


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """A home of its own for the servers of the session; its name has what names of folders may have."""
    # Not in pytest's own folder: a session that begins closes that to PostgreSQL's account.
    root = Path(tempfile.mkdtemp(prefix="préau home "))
    home = Home(root)
    home.create()
    yield home
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Home) -> Iterator[Postgres]:
    """A running PostgreSQL."""
    server = Postgres(home)
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka(home: Home) -> Iterator[Kafka]:
    """A running Kafka without topics."""
    server = Kafka(home)
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def topic() -> str:
    """A topic name no other test uses."""
    return f"topic-{next(_numbers)}"


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty database of its own."""
    name = f"test_{next(_numbers)}"
    admin = postgres.url()
    asyncio.run(_run(admin, f"CREATE DATABASE {name}"))
    yield postgres.url(database=name)
    asyncio.run(_run(admin, f"DROP DATABASE {name} WITH (FORCE)"))


async def value(url: str, query: str) -> object:
    """The one value that a query has, asked over a connection of its own."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def open_database(url: str, *components: tuple[str, Path], pool_size: int = 8) -> Database:
    """A migrated, open database with the chassis' tables and those of the components given."""
    await migrate(url, [CHASSIS, *components])
    database = Database(DatabaseSettings.model_validate({"database_url": url, "pool_size": pool_size}))
    await database.open()
    return database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with the tables of chassis and roster."""
    opened = await open_database(database_url, ROSTER)
    yield opened
    await opened.close()
