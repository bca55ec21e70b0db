"""Settings of every process: environment variables named `PREAU_…`, each documented here or in a service's own class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# What was given stays out of errors: one in a setting would print the secrets of the others.
_CONFIG = SettingsConfigDict(env_prefix="PREAU_", extra="ignore", frozen=True, hide_input_in_errors=True)


class ProcessSettings(BaseSettings):
    """What every process is told."""

    model_config = _CONFIG

    admin_host: str = "127.0.0.1"
    """Where health and metrics are served; never the public address."""
    admin_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of health and metrics; 0 picks a free one."""
    log_level: str = "INFO"
    """Least severe level that is logged."""
    traces: str = ""
    """Where spans go: empty (nowhere), `file:PATH`, or the URL of an OTLP/HTTP collector."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of requests sampled where no caller has decided, 0 to 1."""
    drain_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a stopping process lets requests and batches finish, in seconds."""
    stop_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """How long it may take to stop beyond that, in seconds; then it ends as a kill would end it."""


class HttpSettings(ProcessSettings):
    """What a process that serves HTTP is told."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0 picks a free one."""
    port_shared: bool = False
    """Whether several processes of this machine listen on the port (SO_REUSEPORT); each then gets a share of connections."""
    request_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Deadline of one request, body included, in seconds."""
    body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    """Largest request body, in bytes."""


class DatabaseSettings(BaseSettings):
    """What a process with a database is told."""

    model_config = _CONFIG

    database_url: SecretStr
    """The service's own database under its own role; may go through a pooler."""
    database_direct_url: SecretStr | None = None
    """The same past any pooler, for LISTEN and session locks; `database_url` when empty."""
    pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections this process opens at the most."""
    acquire_seconds: Annotated[float, Field(gt=0, le=30)] = 2.0
    """How long a request waits for a free connection before it is answered 503, in seconds."""
    statement_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Deadline of one statement, in seconds."""
    outbox_rows: Annotated[int, Field(ge=1000)] = 2_000_000
    """Rows the outbox may hold; beyond it writes are answered 503 and reads go on."""
    outbox_hours: Annotated[float, Field(gt=0)] = 24.0
    """Age the oldest outbox row may reach before writes are answered 503, in hours."""

    def url(self) -> str:
        """The pooled URL in clear, for the driver alone."""
        return self.database_url.get_secret_value()

    def direct_url(self) -> str:
        """The unpooled URL in clear, for the driver alone."""
        return (self.database_direct_url or self.database_url).get_secret_value()


class KafkaSettings(BaseSettings):
    """What a process that speaks to Kafka is told."""

    model_config = _CONFIG

    kafka: str
    """Bootstrap servers, `host:port,host:port`."""
    instance: str = ""
    """Name of this process among its service's, the same after a restart (a StatefulSet's pod, say): then one that was
    killed takes up its partitions at once instead of after the session's timeout. Empty where processes have no names."""


class TokenSettings(BaseSettings):
    """What a service that checks the gateway's tokens is told."""

    model_config = _CONFIG

    token_public_key: str
    """Ed25519 public key, PEM text or the path of a file that holds it."""


def pem(text_or_path: str) -> bytes:
    """The PEM a setting names, given as text or as a path."""
    if text_or_path.lstrip().startswith("-----"):
        return text_or_path.encode()
    return Path(text_or_path).read_bytes()
