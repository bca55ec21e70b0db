"""Roles and databases on a PostgreSQL, made where they are missing; a role enters its own database alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

CONNECT_SECONDS = 20.0
_WHOSE = frozenset({"user", "password", "passfile", "service", "servicefile", "dbname", "database"})
"""Parameters of a URL that say who enters what, and not where the server is."""


class DatabaseFailed(Exception):
    """A role or database can't be had; the message says why and holds no password."""


def address(place: str, role: str, password: str, database: str) -> str:
    """The URL of a database under a role, at a server that a URL names whoever that one lets in."""
    parts = _server(place)
    return parts._replace(netloc=f"{role}:{quote(password, safe='')}@{parts.netloc}", path=f"/{database}").geturl()


def place_of(url: str) -> str:
    """A URL without role, password and database, as people may read it."""
    return _server(url).geturl()


def _server(url: str) -> SplitResult:
    parts = urlsplit(url)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _WHOSE])
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], "", query, "")


@asynccontextmanager
async def administering(url: str) -> AsyncIterator[Connection]:
    """A connection that may make roles and databases."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    try:
        yield connection
    finally:
        await connection.close()


async def create_database(connection: Connection, name: str, password: str, *, renew_password: bool) -> None:
    """Make a database and the role of the same name that owns it; nothing that exists is dropped.

    A role that exists keeps its password unless it is to be renewed.
    """
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no database name")
    there = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    if not there:
        await connection.execute(f'CREATE ROLE "{name}" LOGIN')
    if renew_password or not there:
        await connection.execute(f"ALTER ROLE \"{name}\" PASSWORD '{_harmless(password)}'")
    await _become_able_to_own(connection, name)
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
    await _close_to_others(connection, name)


def _harmless(password: str) -> str:
    if "'" in password or "\\" in password or "\0" in password:
        raise DatabaseFailed("a role's password may hold no quote, backslash or null")
    return password


async def _become_able_to_own(connection: Connection, name: str) -> None:
    """An administrator who is no superuser, as on managed servers, gives a database only to whom they may become."""
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'SET')", name):
        await connection.execute(f'GRANT "{name}" TO CURRENT_USER WITH SET TRUE, INHERIT FALSE')


async def _close_to_others(connection: Connection, name: str) -> None:
    async with connection.transaction():
        # The owner's to do: an administrator may own nothing.
        await connection.execute(f'SET LOCAL ROLE "{name}"')
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
