"""Settings of the feed service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings, TokenSettings


class FeedSettings(HttpSettings, DatabaseSettings, KafkaSettings, TokenSettings):
    """What the feed service is told."""

    cursor_secret: SecretStr
    """At least 32 bytes; the same as the gateway's."""
    feed_generation: Annotated[int, Field(ge=1, le=65535)] = 1
    """Which generation of the feed topic this deployment is in."""
