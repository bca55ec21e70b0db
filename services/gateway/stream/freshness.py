"""Whether the directory is heard of: with rights that may be stale, nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

SILENCE_SECONDS = 60.0
"""The directory beats every 5 s; after a minute without, what it says of rights is not to be trusted."""


class Freshness:
    """When the directory was last heard of, by the age of what it said, not by when this process read it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = float("-inf")

    def heard(self, said_at: datetime) -> None:
        """Note what the directory said at a time (its own clock)."""
        age = max(0.0, (datetime.now(UTC) - said_at).total_seconds())
        self._heard = max(self._heard, self._clock() - age)

    @property
    def age(self) -> float:
        """Seconds since the directory was heard of."""
        return self._clock() - self._heard

    @property
    def fresh(self) -> bool:
        """Whether rights can be trusted."""
        return self.age <= SILENCE_SECONDS
