"""Settings of the gateway."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings


class GatewaySettings(HttpSettings, DatabaseSettings, KafkaSettings):
    """What a gateway process is told, beside what every process with HTTP, a database and Kafka is."""

    port_shared: bool = True
    """As for every process with HTTP; the gateway's share their port unless told otherwise."""
    token_private_key: SecretStr
    """Ed25519 private key that signs internal tokens, PEM text or the path of a file that holds it."""
    cursor_secret: SecretStr
    """Signs cursors; at least 32 bytes, the same in every gateway and in feed."""
    services: dict[str, str]
    """Base URL of each service by name, as a JSON object: directory, grades, feed, portal, ..."""
    worker: str = ""
    """Name of this process in the header `Preau-Worker`; its process id when empty."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses whose X-Forwarded-For is believed, comma-separated; `*` for any."""

    upstream_seconds: Annotated[float, Field(gt=0, le=60)] = 8.0
    """How long a service may take to begin its answer, in seconds; less than `request_seconds`."""
    upstream_requests: Annotated[int, Field(ge=1, le=5000)] = 200
    """Requests in flight to one service from this process; more wait a second, then are answered 503."""

    session_hours: Annotated[float, Field(gt=0, le=24 * 90)] = 24.0 * 14
    """How long a session lasts, in hours."""
    sign_in_window: Annotated[float, Field(gt=0)] = 900.0
    """Window in which attempts to sign in are counted, in seconds."""
    sign_in_account: Annotated[int, Field(ge=1)] = 10
    """Attempts one account takes in a window."""
    sign_in_address: Annotated[int, Field(ge=1)] = 200
    """Attempts one address takes in a window; a school is one address."""
    password_threads: Annotated[int, Field(ge=1, le=32)] = 2
    """Threads that check passwords."""

    streams: Annotated[int, Field(ge=1)] = 20_000
    """Streams this process takes."""
    streams_per_account: Annotated[int, Field(ge=1)] = 10
    """Streams this process takes from one account."""
    connections: Annotated[int, Field(ge=1)] = 25_000
    """Connections this process takes, streams and requests together."""
    heartbeat_seconds: Annotated[float, Field(gt=0, le=300)] = 15.0
    """Time between two heartbeats of a stream, in seconds."""
    reader_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long a reader may leave a full buffer unread before it is cut, in seconds."""
    retry_ms: Annotated[int, Field(ge=100, le=60_000)] = 2000
    """How long clients wait before they reconnect, in milliseconds, give or take half."""
    ring_items: Annotated[int, Field(ge=1)] = 50_000
    """Items the ring holds; resumes older than that are served by feed."""
    ring_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    """Bytes of frames the ring holds."""
    directory_changes: Annotated[int, Field(ge=1)] = 20_000
    """Recent changes of the directory that are held; streams open while the roster lags by no more."""
    catch_up_workers: Annotated[int, Field(ge=1, le=200)] = 8
    """Pages of history that may be fetched from feed at the same time."""
    catch_up_pages: Annotated[int, Field(ge=1)] = 50
    """Pages of history one stream may catch up by before it is reset instead."""
