"""The parts of a whole Préau, wired to one another by the settings that docs/architecture.md lists."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from infra.local.home import CHECKOUT, Home
from infra.local.kafka import Kafka
from infra.local.parts import Part, get, lag_of
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import Postgres
from infra.local.processes import plain_environment
from infra.topics import ensure_topics

WITH_DATABASE = ("directory", "grades", "feed", "gateway")
WITH_OUTBOX = ("directory", "grades", "feed")
BEHIND_GATEWAY = ("directory", "grades", "feed", "portal")
GATEWAY_WORKERS = 2
DEFAULT_PORT = 8080


def database_name(service: str) -> str:
    """The database of a service, and the role that owns it."""
    return f"preau_{service}"


@dataclass
class System:
    """One embedded Préau: what runs, where, and how to reach it."""

    home: Home
    port: int
    scale: Mapping[str, int] = field(default_factory=dict)
    notice: Callable[[str], None] = lambda _line: None

    def __post_init__(self) -> None:
        self.postgres = Postgres(self.home, notice=self.notice)
        self.kafka = Kafka(self.home)
        self._ports = {service: free_port() for service in BEHIND_GATEWAY}

    @property
    def url(self) -> str:
        """Where people go."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def bootstrap(self) -> str:
        """Kafka's address."""
        return self.kafka.bootstrap

    @property
    def services(self) -> dict[str, str]:
        """Base URL of each service behind the gateway."""
        return {service: f"http://{LOOPBACK}:{port}" for service, port in self._ports.items()}

    @property
    def databases(self) -> dict[str, str]:
        """Database URL of each service that has one."""
        return {service: self.postgres.url(database_name(service)) for service in WITH_DATABASE}

    def parts(self) -> list[Part]:
        """Everything that runs, in the order it is shown."""
        services = [self._service(name, name) for name in ("directory", "grades", "feed", "relay")]
        return [self._postgres(), self._kafka(), *services, *self._gateways(), self._service("portal", "portal")]

    def _gateways(self) -> list[Part]:
        workers = self.scale.get("gateway", GATEWAY_WORKERS)
        return [self._service(f"gateway-{number}", "gateway") for number in range(1, workers + 1)]

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
            needs=() if service == "portal" else ("postgres", "kafka"),
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
        }

    def _listening(self, service: str) -> dict[str, str]:
        if service == "relay":
            return {}
        port = self.port if service == "gateway" else self._ports[service]
        return {"PREAU_HOST": LOOPBACK, "PREAU_PORT": str(port)}

    def _servers(self, service: str) -> dict[str, str]:
        settings = {} if service == "portal" else {"PREAU_KAFKA": self.bootstrap}
        if service in WITH_DATABASE:
            settings["PREAU_DATABASE_URL"] = self.databases[service]
            settings["PREAU_DATABASE_DIRECT_URL"] = self.databases[service]
        return settings

    def _secrets(self, service: str) -> dict[str, str]:
        settings = {}
        if service in ("directory", "grades", "feed"):
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
