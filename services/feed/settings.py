"""Settings of the feed service."""

from __future__ import annotations

from pydantic import SecretStr

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings, TokenSettings


class FeedSettings(HttpSettings, DatabaseSettings, KafkaSettings, TokenSettings):
    """What the feed service is told."""

    cursor_secret: SecretStr
    """At least 32 bytes; the same as the gateway's."""
