"""Which generation of the feed serves: compacted, one record, the latest holds.

A rebuild of the feed's history makes a new generation with a topic of its own; once it is complete it serves instead of the
one before. Who follows the feed goes on in the topic named, and what they knew of places in the old one is void.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from contracts.envelope import Event

TOPIC = "feed-generations"
SOURCE = "/feed"
KEY = "serving"
"""The record key of the only record."""


class GenerationServes(Event):
    """From now on the feed is read from this generation."""

    TYPE: ClassVar[str] = "feed.generation.serves.v1"

    generation: Annotated[int, Field(ge=1, le=65535)]
    topic: str
    """The Kafka topic that holds the generation's items."""


EVENTS: tuple[type[Event], ...] = (GenerationServes,)
