"""Settings of every process that decides by a replica of the directory, or sends by what it heard of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chassis.settings import KafkaSettings
from roster.freshness import SILENCE_SECONDS


class RosterSettings(KafkaSettings):
    """What a process that follows the directory is told."""

    silence_seconds: Annotated[float, Field(gt=0, le=3600)] = SILENCE_SECONDS
    """Seconds without a word of the directory after which nothing is sent, since rights may have been withdrawn; several
    times the directory's `beat_seconds`."""
