"""Settings of the grades service."""

from __future__ import annotations

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings, TokenSettings


class GradesSettings(HttpSettings, DatabaseSettings, KafkaSettings, TokenSettings):
    """What the grades service is told; every field is documented where it is defined."""
