"""Whether the directory is heard of now: with rights that may be stale, nothing is sent.

No clock but this process's own monotonic one counts. That of the directory, or of Kafka, may be wrong, and what they say
may have stood in the topic for long. So a record is news only where it came after this process had asked where the
topic ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

SILENCE_SECONDS = 60.0
"""How long the directory may be silent where no setting says otherwise."""
_DAY = 86400.0
_log = logging.getLogger(__name__)


class Freshness:
    """When this process last heard something new of the directory."""

    def __init__(
        self,
        ask_end: Callable[[], Awaitable[int]],
        silence_seconds: float = SILENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask_end` tells the offset at which the next record of the topic will stand."""
        self._ask_end = ask_end
        self._silence = silence_seconds
        self._clock = clock
        self._heard = float("-inf")
        self._news_from: int | None = None

    @property
    def age(self) -> float:
        """Seconds since the directory was heard of; at most a day."""
        return min(_DAY, self._clock() - self._heard)

    @property
    def fresh(self) -> bool:
        """Whether rights can be trusted."""
        return self.age <= self._silence

    def wrong(self) -> str | None:
        """What is wrong when they can't."""
        return None if self.fresh else f"the directory was last heard of {self.age:.0f} s ago"

    def doubt(self) -> None:
        """What is read next may have stood in the topic for long: its end is to be asked for anew."""
        self._heard, self._news_from = float("-inf"), None

    def known(self, age: float) -> None:
        """The directory was heard of so many seconds ago, by somebody who judges as this does."""
        self._heard = max(self._heard, self._clock() - age)

    async def read(self, last: int | None) -> bool:
        """Note the offset of the last record read (None: there was none); whether it was news.

        To be called only by who has read all there is: who is behind reads what was said a while ago.
        """
        if not self.fresh and self._news_from is None:
            await self._begin()
        if last is None or not (self.fresh or self._is_news(last)):
            return False
        self._heard, self._news_from = self._clock(), None
        return True

    def _is_news(self, last: int) -> bool:
        return self._news_from is not None and last >= self._news_from

    async def _begin(self) -> None:
        try:
            self._news_from = await self._ask_end()
        except (KafkaError, OSError) as error:
            _log.warning("the directory's end is not known", extra={"cause": type(error).__name__})
