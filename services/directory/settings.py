"""Settings of the directory service."""

from __future__ import annotations

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings, TokenSettings


class DirectorySettings(HttpSettings, DatabaseSettings, KafkaSettings, TokenSettings):
    """What the directory is told; every field is documented where it is defined."""

    beat_seconds: float = 5.0
    """How often the directory says that it is alive, in seconds; a replica that hears nothing for 60 s stops."""
