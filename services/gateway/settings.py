"""Settings of the gateway."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from chassis.settings import DatabaseSettings, HttpSettings
from roster.settings import RosterSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
Rate = Annotated[float, Field(gt=0, le=1_000_000)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]


def safe_url(url: str) -> bool:
    """Whether secrets may go to this address: over TLS, or to this very machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


class Label(BaseModel):
    """A provider's name as people read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fr: Annotated[str, Field(min_length=1, max_length=80)]
    en: Annotated[str, Field(min_length=1, max_length=80)]


class ProviderSettings(BaseModel):
    """A provider of OpenID Connect that people may sign in with."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """Its name in addresses, the same for ever: the provider knows the addresses."""
    label: Label
    """What its button says."""
    issuer: Annotated[str, Field(max_length=500)]
    """Its issuer identifier, to the letter: with or without the last slash is not the same."""
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    """As whom it knows us."""
    client_secret: SecretStr | None = None
    """The secret it gave us; none for a public client, which PKCE alone protects."""
    scopes: tuple[str, ...] = ("openid",)
    """What is asked for; `openid` is enough, since people are known by the directory."""

    @field_validator("issuer")
    @classmethod
    def _issuer_is_safe(cls, issuer: str) -> str:
        if not safe_url(issuer) or urlsplit(issuer).query or urlsplit(issuer).fragment:
            raise ValueError("an https address without query or fragment")
        return issuer

    @field_validator("scopes")
    @classmethod
    def _scopes_begin_with_openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("has no openid")
        return scopes


class GatewaySettings(HttpSettings, DatabaseSettings, RosterSettings):
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
    """Failed attempts one account takes in a window before each next one has to wait; a known device has its own count."""
    sign_in_address: Annotated[int, Field(ge=1)] = 200
    """Failed attempts one address takes in a window before each next one has to wait; a school is one address."""
    sign_in_wait: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """The first such wait, in seconds; each next one is twice as long, up to an hour (an address: five minutes)."""
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

    public_url: str = ""
    """Base URL under which browsers reach us; needed where there are providers."""
    sign_in_providers: tuple[ProviderSettings, ...] = ()
    """Providers of OpenID Connect, as a JSON list of objects: name, label {fr, en}, issuer, client_id, client_secret,
    scopes."""
    provider_seconds: Annotated[float, Field(gt=0, le=8)] = 3.0
    """How long a provider may take to answer one call, in seconds."""
    activation_days: Annotated[float, Field(gt=0, le=366)] = 60.0
    """How long an activation code is good for, in days."""

    reads_per_second: Rate = 200.0
    """Reads one account may make for long, in this process."""
    reads_burst: Burst = 5000
    """Reads one account may make at once."""
    writes_per_second: Rate = 200.0
    """Writes one account may make for long, in this process."""
    writes_burst: Burst = 5000
    """Writes one account may make at once."""
    streams_per_second: Rate = 20.0
    """Streams one account may open for long, in this process."""
    streams_burst: Burst = 500
    """Streams one account may open at once."""
    anonymous_per_second: Rate = 500.0
    """Requests one address may make for long without a session that this process knows; a school is one address."""
    anonymous_burst: Burst = 20_000
    """Requests one address may make so at once."""

    @model_validator(mode="after")
    def _providers_know_where_to_come_back(self) -> Self:
        names = [one.name for one in self.sign_in_providers]
        if len(set(names)) != len(names) or len({one.issuer for one in self.sign_in_providers}) != len(names):
            raise ValueError("sign_in_providers: each name and each issuer once")
        if names and not safe_url(self.public_url):
            raise ValueError("public_url: an https address is needed where there are sign_in_providers")
        return self
