"""Settings of the feed service."""

from __future__ import annotations

from pydantic import SecretStr

from chassis.settings import DatabaseSettings, HttpSettings, TokenSettings
from roster.settings import RosterSettings


class FeedSettings(HttpSettings, DatabaseSettings, RosterSettings, TokenSettings):
    """What the feed service is told."""

    cursor_secret: SecretStr
    """At least 32 bytes; the same as the gateway's."""
