"""Settings of the notify service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FilePath, SecretStr, model_validator

from chassis.settings import DatabaseSettings, HttpSettings, TokenSettings
from roster.settings import RosterSettings


class NotifySettings(HttpSettings, DatabaseSettings, RosterSettings, TokenSettings):
    """What the notify service is told."""

    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")]
    """Base URL of the portal, for the links in messages."""

    smtp_host: str
    """The mail server that takes the messages."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    """Its port."""
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    """`starttls` upgrades a plain connection and refuses one that can't be, `tls` begins encrypted, `none` is for a laptop."""
    smtp_ca_file: FilePath | None = None
    """PEM file of the certificate authorities that vouch for the mail server, instead of the system's; an authority of an
    organisation's own, say."""
    smtp_user: str | None = None
    """User to sign in as, over TLS alone; nobody where empty."""
    smtp_password: SecretStr | None = None
    """That user's password."""
    smtp_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Deadline of connecting and of each answer, in seconds."""
    smtp_connections: Annotated[int, Field(ge=1, le=200)] = 8
    """Connections this process opens to the server at the most."""
    smtp_connection_messages: Annotated[int, Field(ge=1)] = 100
    """Messages sent over one connection before it is closed; servers limit it."""
    sender_address: Annotated[str, Field(pattern=r"^[!-?A-~]+@[!-?A-~]+$")]
    """Address messages come from; its domain is that of their Message-ID, so it should not change."""
    sender_name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = "Préau"
    """Name beside that address."""

    send_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    """Messages claimed in one transaction."""
    send_lanes: Annotated[int, Field(ge=1, le=16)] = 2
    """Batches this process sends at the same time."""
    send_attempts: Annotated[int, Field(ge=1, le=100)] = 24
    """Attempts before a message has failed; with pauses doubling up to an hour, 24 are half a day."""
    lease_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """How long a claimed message is its process's own; one that was killed is replaced after that. Three times
    `smtp_seconds` at least."""
    news_hours: Annotated[float, Field(gt=0)] = 72.0
    """Age beyond which an event is not told any more: a service that begins reads the topics from their beginning."""
    message_days: Annotated[float, Field(gt=0)] = 30.0
    """How long a message that was sent, failed or cancelled is kept, in days."""

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> NotifySettings:
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("smtp_user and smtp_password go together")
        if self.smtp_user is not None and self.smtp_tls == "none":
            raise ValueError("smtp_tls must be starttls or tls where smtp_user signs in")
        return self

    @model_validator(mode="after")
    def _a_lease_outlasts_an_attempt(self) -> NotifySettings:
        if self.lease_seconds < 3 * self.smtp_seconds:
            raise ValueError("lease_seconds must be three times smtp_seconds at least")
        return self
