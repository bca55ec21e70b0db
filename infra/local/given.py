"""Servers that are there already and given by URL: where they are, and what is made on them where it is missing."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from infra.local.databases import CONNECT_SECONDS, DatabaseFailed, administering, create_database, place_of
from infra.local.home import Home, read_state, write_private
from infra.local.kafka import answers
from infra.topics import ensure_topics, fitting_replication

PREFIX = "preau_"
EMBEDDED = "embedded"
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,30}")
_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:,/@]+):(\d{1,5})")


class BadServers(ValueError):
    """Servers that can't be used; the message names the setting and the rule."""


@dataclass(frozen=True)
class Given:
    """The servers given; an empty setting stands for an embedded one.

    `postgres_url` is an administrator's, with which roles and databases are made; where it leads through a pooler,
    `postgres_direct_url` leads past it. `kafka` is a list of `host:port`. Databases and roles are named `prefix`
    and service.
    """

    postgres_url: str = ""
    postgres_direct_url: str = ""
    kafka: str = ""
    prefix: str = PREFIX

    @classmethod
    def of(cls, settings: Mapping[str, str] = os.environ) -> Given:
        """What the settings say; raises `BadServers`."""
        given = cls(
            settings.get("PREAU_POSTGRES_URL", ""),
            settings.get("PREAU_POSTGRES_DIRECT_URL", ""),
            settings.get("PREAU_KAFKA", ""),
            settings.get("PREAU_DATABASE_PREFIX", "") or PREFIX,
        )
        given._check()
        return given

    def _check(self) -> None:
        for name, url in (
            ("PREAU_POSTGRES_URL", self.postgres_url),
            ("PREAU_POSTGRES_DIRECT_URL", self.postgres_direct_url),
        ):
            if url and not _is_administrators(url):
                raise BadServers(f"{name}: expected postgresql://ADMINISTRATOR:PASSWORD@HOST:PORT/DATABASE")
        if self.postgres_direct_url and not self.postgres_url:
            raise BadServers("PREAU_POSTGRES_DIRECT_URL: goes with PREAU_POSTGRES_URL alone")
        if self.kafka and not all(_BROKER.fullmatch(one) for one in self.kafka.split(",")):
            raise BadServers("PREAU_KAFKA: expected HOST:PORT, several by commas")
        if not _PREFIX.fullmatch(self.prefix):
            raise BadServers("PREAU_DATABASE_PREFIX: expected small letters, digits and _, at most 31")

    # PostgreSQL

    @property
    def administrator(self) -> str:
        """The URL past any pooler, under which roles and databases are made."""
        return self.postgres_direct_url or self.postgres_url

    @property
    def postgres_place(self) -> str:
        """The server's address past any pooler, without anything secret; empty where none is given."""
        return place_of(self.administrator) if self.postgres_url else ""

    @property
    def pooled_place(self) -> str:
        """The address for all that may go through a pooler."""
        return place_of(self.postgres_url) if self.postgres_url else ""

    def postgres_ready(self) -> bool:
        """Whether the administrator is let in; raises what the server says where not."""
        asyncio.run(self._enter())
        return True

    async def _enter(self) -> None:
        async with administering(self.administrator) as connection:
            await connection.execute("SELECT 1")

    def create_databases(self, urls: Iterable[str]) -> None:
        """Make the databases and roles that these URLs name, where they are missing; raises `DatabaseFailed`."""
        asyncio.run(create_databases(self.administrator, urls))

    # Kafka

    def kafka_ready(self) -> bool:
        """Whether any of the brokers answers."""
        brokers = [_BROKER.fullmatch(one) for one in self.kafka.split(",")]
        return any(answers(one[1].strip("[]"), int(one[2])) for one in brokers if one)

    def create_topics(self) -> None:
        """Make the topics that are missing, in as many copies as there are brokers for."""
        asyncio.run(self._create_topics())

    async def _create_topics(self) -> None:
        await ensure_topics(self.kafka, replication=await fitting_replication(self.kafka))

    # The home that stands on them

    def _places(self) -> dict[str, object]:
        return {"postgres": self.postgres_place or EMBEDDED, "kafka": self.kafka or EMBEDDED, "prefix": self.prefix}

    def refuse_others(self, home: Home) -> None:
        """Raises `BadServers` where the home's data have been elsewhere until now."""
        known = remembered(home)
        if known and known != self._places():
            before, now = _told(known), _told(self._places())
            raise BadServers(
                f"The data of {home.root} are in {before}; started as it is now it would stand on {now}. Give it the former "
                f"servers, or another PREAU_HOME; if they are the same under other names, delete {home.servers}."
            )

    def remember(self, home: Home) -> None:
        """Have the home know from now on that its data are here."""
        write_private(home.servers, json.dumps(self._places()))


def remembered(home: Home) -> dict[str, object]:
    """Where a home's data are: `postgres` and `kafka` as addresses or `embedded`, and the `prefix` of databases."""
    if known := read_state(home.servers):
        return known
    if (home.root / "postgres" / "data").exists():
        return {"postgres": EMBEDDED, "kafka": EMBEDDED, "prefix": PREFIX}
    return {}


def left_alone(home: Home) -> str:
    """The servers of a home that are none of its own, in words; empty where all are embedded."""
    names = {"postgres": "PostgreSQL", "kafka": "Kafka"}
    known = remembered(home)
    return " and ".join(f"{names[one]} at {known[one]}" for one in names if known.get(one, EMBEDDED) != EMBEDDED)


def _told(places: Mapping[str, object]) -> str:
    return f"PostgreSQL {places['postgres']} ({places['prefix']}…) and Kafka {places['kafka']}"


def _is_administrators(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("postgresql", "postgres") and bool(
            parts.hostname and parts.username and parts.port != 0
        )
    except ValueError:
        return False


async def create_databases(administrator: str, urls: Iterable[str]) -> None:
    """Make the databases that URLs name, each with its role of the same name and password, and see that they let it in.

    Nothing that exists is dropped or given another password. Raises `DatabaseFailed`.
    """
    wanted = list(urls)
    async with administering(administrator) as connection:
        for url in wanted:
            role, password, name = _named(url)
            if role != name:
                raise DatabaseFailed(f"the database {name} belongs to the role of its name, not to {role}")
            await create_database(connection, name, password, renew_password=False)
    for url in wanted:
        await _see_it_open(url)


def _named(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return unquote(parts.username or ""), unquote(parts.password or ""), parts.path.removeprefix("/")


async def _see_it_open(url: str) -> None:
    import asyncpg

    role = _named(url)[0]
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise DatabaseFailed(
            f"the role {role} was there already, with another password than this home's keys hold: give the keys of the home "
            "that made it, another PREAU_DATABASE_PREFIX, or drop the role and its database"
        ) from error
    await connection.close()
