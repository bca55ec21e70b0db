"""Settings of the directory service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chassis.settings import DatabaseSettings, HttpSettings, KafkaSettings, TokenSettings


class DirectorySettings(HttpSettings, DatabaseSettings, KafkaSettings, TokenSettings):
    """What the directory is told; every field is documented where it is defined."""

    beat_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How often the directory says that it is alive, in seconds; whoever hears nothing for `silence_seconds` sends nothing."""
