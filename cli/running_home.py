"""What the commands need of the Préau that runs in a home: its address, its databases, the operator's token."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from infra.local.control import ask
from infra.local.databases import address
from infra.local.given import PREFIX
from infra.local.home import Home, write_private
from infra.local.system import database_name
from services.gateway.usecases import bootstrap_operator

OPERATOR_TOKEN = "operator-token"  # noqa: S105 - the name of a file


class NotUp(Exception):
    """No Préau runs in this home."""


@dataclass(frozen=True)
class RunningHome:
    """A running Préau.

    `url` is the base of its public API, `postgres` its PostgreSQL's address without role and database, `kafka` the bootstrap
    servers, `prefix` what the names of its databases begin with.
    """

    home: Home
    url: str
    postgres: str
    kafka: str = ""
    prefix: str = PREFIX

    @classmethod
    def of(cls, home: Home) -> RunningHome:
        """The Préau that runs in a home; raises `NotUp`."""
        answer: dict[str, Any] | None = ask(home, "facts") if home.taken() else None
        if answer is None or "postgres" not in answer:
            raise NotUp(f"Préau isn't up in {home.root}: start it with `preau up --detach`.")
        return cls(home, answer["url"], answer["postgres"], answer["kafka"], answer["database_prefix"])

    def database_url(self, service: str) -> str:
        """The URL of a service's database under the service's own role."""
        name = database_name(service, self.prefix)
        return address(self.postgres, name, self.home.database_password(name), name)

    def operator_token(self) -> str:
        """The operator's token: made once in the gateway's database, then kept in the home for its owner alone."""
        path = self.home.keys / OPERATOR_TOKEN
        if not path.exists():
            write_private(path, asyncio.run(made_operator_token(self.database_url("gateway"))))
        return path.read_text(encoding="utf-8")


async def made_operator_token(url: str) -> str:
    """A new token of the operator's account, which is made where it is missing, in the gateway's database."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            return await bootstrap_operator(connection)
    finally:
        await connection.close()
