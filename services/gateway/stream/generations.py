"""Which generation of the feed serves, as feed announces it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pydantic import ValidationError

from contracts import feed
from contracts.envelope import BadEnvelope, from_headers
from contracts.generations import KEY, GenerationServes
from services.gateway.stream.tail import Tail

_MOST = 10_000
"""Records read back: compaction leaves a few."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """A generation that serves, and its topic."""

    generation: int
    topic: str


class Generations:
    """Follows the announcements; without any the first generation serves."""

    def __init__(self, bootstrap: str, topic: str, first_topic: str = feed.TOPIC) -> None:
        self.bootstrap = bootstrap
        self.serving: Serving | None = None
        self._first = Serving(1, first_topic)
        self._tail = Tail(bootstrap, topic)
        self._known = asyncio.Event()

    async def first(self) -> Serving:
        """Wait until all announcements made so far are read."""
        await self._known.wait()
        assert self.serving is not None
        return self.serving

    async def follow(self) -> None:
        """Follow for ever."""
        await self._tail.begin(_MOST)
        async for records in self._tail.batches():
            for record in records:
                self._take(record.headers, record.key, record.value)
            await self._tail.taken()
            if self._tail.caught_up:
                self.serving = self.serving or self._first
                self._known.set()

    def _take(self, headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> None:
        try:
            envelope = from_headers(headers, key)
            if envelope.key != KEY or envelope.type != GenerationServes.TYPE or value is None:
                return
            told = GenerationServes.model_validate_json(value, extra="ignore")
        except (BadEnvelope, ValidationError) as error:
            _log.error("announcement unreadable", extra={"cause": type(error).__name__})
            return
        # By the generation, which only grows: the sequences of a feed whose database was lost begin anew.
        if self.serving is None or told.generation > self.serving.generation:
            topic = self._first.topic if told.generation == self._first.generation else told.topic
            self.serving = Serving(told.generation, topic)

    async def close(self) -> None:
        """Disconnect."""
        await self._tail.close()
