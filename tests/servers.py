"""The servers under the tested platform: embedded, in containers, or given by URL; the tests see one surface."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from infra.local.control import ask
from infra.local.given import BadServers, Given
from infra.local.home import Home
from infra.local.processes import wait_until
from infra.topics import TOPICS

EMBEDDED, CONTAINERS, URLS = "embedded", "containers", "urls"
SETTINGS = ("PREAU_POSTGRES_URL", "PREAU_POSTGRES_DIRECT_URL", "PREAU_KAFKA", "PREAU_DATABASE_PREFIX")
BACK_SECONDS = 90.0


class Server(Protocol):
    """One server that a test may take away."""

    def kill(self) -> None:
        """End it without warning."""

    def stop(self) -> None:
        """End it in order."""

    def start(self) -> None:
        """Have it back after it was ended; returns once it answers. A supervised one comes back by itself."""

    def pause(self) -> None:
        """Have it stand still; it does not know it."""

    def unpause(self) -> None:
        """Have it go on."""


@dataclass(frozen=True)
class Servers:
    """What a platform stands on. `settings` tell the supervisor of it; `end` takes away what was made for the session."""

    reachable: Mapping[str, Server] = field(default_factory=dict)
    """Those that tests may take away, by the name of the part."""
    settings: Mapping[str, str] = field(default_factory=dict)
    end: Callable[[], None] = lambda: None

    def server(self, name: str) -> Server:
        """`postgres` or `kafka`, to be taken away; skips the test where others may use it too."""
        if name not in self.reachable:
            pytest.skip("a server given by URL is not the tests' to take away")
        return self.reachable[name]

    @property
    def administrator(self) -> str:
        """The URL of an administrator of PostgreSQL; empty where the home knows it."""
        return self.settings.get("PREAU_POSTGRES_DIRECT_URL") or self.settings.get("PREAU_POSTGRES_URL", "")


def servers(backend: str, home: Home) -> Servers:
    """The servers of a session's platform, running except where its supervisor starts them."""
    if backend == CONTAINERS:
        # What embedded runs do without is not loaded for them.
        from tests.containers import in_containers  # noqa: PLC0415

        return in_containers()
    if backend == URLS:
        return by_url()
    signals = {"postgres": signal.SIGINT, "kafka": signal.SIGTERM}
    return Servers({name: Kept(home, name, number) for name, number in signals.items()})


# Embedded


@dataclass
class Kept:
    """A part that the supervisor of a home keeps running."""

    home: Home
    name: str
    stop_signal: int
    _ended: int = 0

    def _part(self) -> dict[str, Any]:
        answer = ask(self.home, "status") or {"parts": []}
        return next((part for part in answer["parts"] if part["part"] == self.name), {})

    def _pid(self) -> int:
        return int(self._part()["pid"])

    def _signal(self, number: int) -> None:
        self._ended = self._pid()
        os.kill(self._ended, number)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(self.stop_signal)

    def start(self) -> None:
        def back() -> bool:
            part = self._part()
            return part.get("state") == "ready" and part["pid"] not in (None, self._ended)

        wait_until(back, BACK_SECONDS, f"{self.name}'s return", pause=0.2)

    def pause(self) -> None:
        os.kill(self._pid(), signal.SIGSTOP)

    def unpause(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)


# Given by URL


def by_url() -> Servers:
    """The servers that the settings give: databases of the session's own on the one, Préau's topics on the other.

    What was there before is left alone: a Kafka in which topics of Préau stand is refused.
    """
    given = Given.of()
    if standing := asyncio.run(_topics(given.kafka)):
        pytest.fail(f"PREAU_KAFKA: topics of Préau are there already, and are not the tests': {', '.join(standing)}")
    prefix = f"preau_t{uuid.uuid4().hex[:8]}_"

    def end() -> None:
        asyncio.run(_drop_databases(given.administrator, prefix))
        asyncio.run(_delete_topics(given.kafka))

    told = {
        "PREAU_POSTGRES_URL": given.postgres_url,
        "PREAU_POSTGRES_DIRECT_URL": given.postgres_direct_url,
        "PREAU_KAFKA": given.kafka,
        "PREAU_DATABASE_PREFIX": prefix,
    }
    return Servers({}, told, end)


def refuse_missing_urls() -> None:
    """Raises `pytest.UsageError` where the settings give no two servers."""
    try:
        given = Given.of()
    except BadServers as error:
        raise pytest.UsageError(f"--backends urls: {error}") from error
    for name, value in (("PREAU_POSTGRES_URL", given.postgres_url), ("PREAU_KAFKA", given.kafka)):
        if not value:
            raise pytest.UsageError(f"--backends urls: {name} must say where the server is")


async def _topics(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        there = await admin.list_topics()
    finally:
        await admin.close()
    return sorted({name for topic in TOPICS for name in topic.standing(there)})


async def _delete_topics(bootstrap: str) -> None:
    made = await _topics(bootstrap)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        # With a topic go the positions that groups had in it.
        await admin.delete_topics(made)
    finally:
        await admin.close()


async def _drop_databases(url: str, prefix: str) -> None:
    """Drop the databases and roles whose names begin with what this session alone made up."""
    connection = await asyncpg.connect(url)
    try:
        for (name,) in await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix):
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for (name,) in await connection.fetch("SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", prefix):
            await connection.execute(f'DROP ROLE "{name}"')
    finally:
        await connection.close()
