"""The parts of a whole Préau, wired to one another by the settings that docs/architecture.md lists."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import psutil

from infra.local.databases import address
from infra.local.given import PREFIX, Given
from infra.local.home import CHECKOUT, Home
from infra.local.kafka import JVM, ROOMY_JVM, Kafka
from infra.local.parts import Elsewhere, Part, get, lag_of
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import LEAST_BUFFERS, Postgres
from infra.local.processes import plain_environment
from infra.topics import ensure_topics

SERVICES = ("directory", "grades", "feed", "notify", "relay", "gateway", "portal")
"""What may run as several processes, in the order it is shown."""
ALONE = ("postgres", "kafka", "mailbox")
"""What runs as one process."""
WITH_DATABASE = ("directory", "grades", "feed", "notify", "gateway")
WITH_OUTBOX = ("directory", "grades", "feed", "notify")
BEHIND_GATEWAY = ("directory", "grades", "feed", "notify", "portal")
GATEWAY_WORKERS = 2
MOST_WORKERS = 16
DEFAULT_PORT = 8080
DEFAULT_MAILBOX_PORT = 8025
_CONNECTIONS = 14
"""Database connections of one process at the most: its pool and the direct ones."""


class BadScale(ValueError):
    """A number of workers that can't be had; the message says why."""


def parse_scale(entries: Iterable[str]) -> dict[str, int]:
    """Workers by service, of `grades=2` or `grades=2,feed=2`; raises `BadScale`."""
    workers = {}
    for entry in (one.strip() for given in entries for one in given.split(",")):
        name, _, number = entry.partition("=")
        if name in ALONE:
            raise BadScale(f"--scale {entry}: {name} runs as one process")
        if name not in SERVICES:
            raise BadScale(f"--scale {entry}: no such service; one of {', '.join(SERVICES)}")
        if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= MOST_WORKERS):
            raise BadScale(f"--scale {entry}: expected {name}=N with N from 1 to {MOST_WORKERS}")
        workers[name] = int(number)
    return workers


def database_name(service: str, prefix: str = PREFIX) -> str:
    """The database of a service, and the role that owns it."""
    return f"{prefix}{service}"


@dataclass
class System:
    """One Préau: what runs, where, and how to reach it; its servers are embedded where none are given."""

    home: Home
    port: int
    scale: Mapping[str, int] = field(default_factory=dict)
    notice: Callable[[str], None] = lambda _line: None
    mailbox_port: int = 0
    """Port of the mailbox's pages; 0 picks a free one."""
    given: Given = field(default_factory=Given)
    roomy: bool = False
    """Whether the embedded servers take the room that servers of their own would: PostgreSQL a quarter of the memory, as its
    manual advises, and Kafka the compiler's upper tiers. Else they start fast and stay small."""

    def __post_init__(self) -> None:
        self.mailbox_port = self.mailbox_port or free_port()
        self.smtp = (LOOPBACK, free_port())
        """Host and port that take e-mails in."""
        connections = _CONNECTIONS * sum(self._workers(service) for service in (*WITH_DATABASE, "relay"))
        buffers = psutil.virtual_memory().total // 4 if self.roomy else LEAST_BUFFERS
        self.postgres = Postgres(self.home, notice=self.notice, connections=connections, buffers=buffers)
        self.kafka = Kafka(self.home, jvm=ROOMY_JVM if self.roomy else JVM)
        self._ports = {service: free_port() for service in BEHIND_GATEWAY}

    @property
    def url(self) -> str:
        """Where people go."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def mailbox_url(self) -> str:
        """Where the e-mails are looked at."""
        return f"http://{LOOPBACK}:{self.mailbox_port}"

    @property
    def bootstrap(self) -> str:
        """Kafka's address."""
        return self.given.kafka or self.kafka.bootstrap

    @property
    def postgres_place(self) -> str:
        """PostgreSQL's address, without role, password and database."""
        return self.given.postgres_place or self.postgres.place

    @property
    def services(self) -> dict[str, str]:
        """Base URL of each service behind the gateway."""
        return {service: f"http://{LOOPBACK}:{port}" for service, port in self._ports.items()}

    @property
    def databases(self) -> dict[str, str]:
        """Database URL of each service that has one."""
        return self._databases(self.postgres_place)

    def _databases(self, place: str) -> dict[str, str]:
        names = {service: database_name(service, self.given.prefix) for service in WITH_DATABASE}
        return {
            service: address(place, name, self.home.database_password(name), name) for service, name in names.items()
        }

    def parts(self) -> list[Part | Elsewhere]:
        """Everything that runs, in the order it is shown."""
        processes = [self._service(name, service) for service in SERVICES for name in self._names(service)]
        servers = [
            self._given_postgres() if self.given.postgres_url else self._postgres(),
            self._given_kafka() if self.given.kafka else self._kafka(),
        ]
        return [*servers, *processes, self._service("mailbox", "mailbox")]

    def _workers(self, service: str) -> int:
        return self.scale.get(service, GATEWAY_WORKERS if service == "gateway" else 1)

    def _names(self, service: str) -> list[str]:
        """The names of a service's processes: its own where it has one, else numbered from 1."""
        workers = self._workers(service)
        if workers == 1 and service != "gateway":
            return [service]
        return [f"{service}-{number}" for number in range(1, workers + 1)]

    # Servers

    def _postgres(self) -> Part:
        return Part(
            name=self.postgres.name,
            command=lambda: self.postgres.command,
            environment=self.postgres.environment,
            prepare=self.postgres.prepare,
            ready=self.postgres.ready,
            finish=partial(self.postgres.create_databases, [database_name(name) for name in WITH_DATABASE]),
            folder=self.postgres.folder,
            account=self.postgres.account,
            stop_signal=self.postgres.stop_signal,
            patience=30,
            # Its account is another's under root; it is known again by its data folder instead.
            marked=False,
        )

    def _kafka(self) -> Part:
        return Part(
            name=self.kafka.name,
            command=lambda: self.kafka.command,
            environment=self.kafka.environment,
            prepare=self.kafka.prepare,
            ready=self.kafka.ready,
            finish=self._ensure_topics,
            folder=self.kafka.folder,
            stop_signal=self.kafka.stop_signal,
            patience=30,
            marked=False,
        )

    def _given_postgres(self) -> Elsewhere:
        urls = list(self.databases.values())
        return Elsewhere(
            name=self.postgres.name,
            where=self.given.postgres_place.partition("://")[2],
            ready=self.given.postgres_ready,
            finish=partial(self.given.create_databases, urls),
        )

    def _given_kafka(self) -> Elsewhere:
        return Elsewhere(
            name=self.kafka.name,
            where=self.given.kafka,
            ready=self.given.kafka_ready,
            finish=self.given.create_topics,
        )

    def _ensure_topics(self) -> None:
        asyncio.run(ensure_topics(self.bootstrap))

    # Services

    def _service(self, name: str, service: str) -> Part:
        admin = free_port()
        return Part(
            name=name,
            command=lambda: [sys.executable, "-P", "-m", "cli", "run", service],
            environment=self._environment(name, service, admin),
            ready=lambda: get(admin, "/health/ready")[0] == 200,
            live=lambda: get(admin, "/health/live")[0] == 200,
            lag=lambda: lag_of(get(admin, "/metrics")[1]),
            needs=() if service in ("portal", "mailbox") else ("postgres", "kafka"),
            folder=self.home.run,
        )

    def _environment(self, name: str, service: str, admin: int) -> dict[str, str]:
        return {
            **plain_environment(),
            "PYTHONPATH": str(CHECKOUT),
            "PREAU_SUPERVISOR": str(os.getpid()),
            "PREAU_INSTANCE": name,
            "PREAU_ADMIN_HOST": LOOPBACK,
            "PREAU_ADMIN_PORT": str(admin),
            **self._listening(service),
            **self._servers(service),
            **self._secrets(service),
            **self._neighbours(service),
            **self._mailbox(service),
            **self._mail(service),
        }

    def _listening(self, service: str) -> dict[str, str]:
        if service == "relay":
            return {}
        port = {**self._ports, "gateway": self.port, "mailbox": self.mailbox_port}[service]
        # The supervisor holds the public port too.
        shared = str(service == "gateway" or self._workers(service) > 1).lower()
        return {"PREAU_HOST": LOOPBACK, "PREAU_PORT": str(port), "PREAU_PORT_SHARED": shared}

    def _mailbox(self, service: str) -> dict[str, str]:
        if service != "mailbox":
            return {}
        host, port = self.smtp
        file = self.home.root / "mailbox" / "messages.sqlite"
        return {
            "PREAU_MAILBOX_FILE": str(file),
            "PREAU_MAILBOX_SMTP_HOST": host,
            "PREAU_MAILBOX_SMTP_PORT": str(port),
        }

    def _servers(self, service: str) -> dict[str, str]:
        settings = {} if service in ("portal", "mailbox") else {"PREAU_KAFKA": self.bootstrap}
        if service in WITH_DATABASE:
            settings["PREAU_DATABASE_URL"] = self._databases(self.given.pooled_place or self.postgres_place)[service]
            settings["PREAU_DATABASE_DIRECT_URL"] = self.databases[service]
        return settings

    def _secrets(self, service: str) -> dict[str, str]:
        settings = {}
        if service in ("directory", "grades", "feed", "notify"):
            settings["PREAU_TOKEN_PUBLIC_KEY"] = str(self.home.public_key)
        if service == "gateway":
            settings["PREAU_TOKEN_PRIVATE_KEY"] = str(self.home.private_key)
            # Whoever starts Préau names the providers; what they hold of secrets is for the gateway alone.
            settings["PREAU_SIGN_IN_PROVIDERS"] = os.environ.get("PREAU_SIGN_IN_PROVIDERS", "[]")
        if service in ("gateway", "feed"):
            settings["PREAU_CURSOR_SECRET"] = self.home.cursor_secret()
        return settings

    def _neighbours(self, service: str) -> dict[str, str]:
        if service == "gateway":
            return {"PREAU_SERVICES": json.dumps(self.services), "PREAU_PUBLIC_URL": self.url}
        if service == "portal":
            return {"PREAU_GATEWAY_URL": self.url}
        if service == "relay":
            return {"PREAU_RELAY_DATABASES": json.dumps({name: self.databases[name] for name in WITH_OUTBOX})}
        return {}

    def _mail(self, service: str) -> dict[str, str]:
        if service != "notify":
            return {}
        host, port = self.smtp
        return {
            "PREAU_PUBLIC_URL": self.url,
            "PREAU_SMTP_HOST": host,
            "PREAU_SMTP_PORT": str(port),
            "PREAU_SMTP_TLS": "none",
            "PREAU_SENDER_ADDRESS": "ne-pas-repondre@preau.exemple.fr",
        }
