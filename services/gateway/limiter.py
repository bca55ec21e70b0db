"""How many requests a client may make: GCRA, one number a client, in this process alone, and a bounded table."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MOST_CLIENTS = 50_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second for long, and a burst of so many at once."""

    per_second: float
    burst: int


class Limiter:
    """Lets a client pass while it keeps to a rate; of more clients than the table takes, the quietest is forgotten."""

    def __init__(self, rate: Rate, most: int = MOST_CLIENTS, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._spacing = 1.0 / rate.per_second
        self._tolerance = rate.burst * self._spacing
        self._most = most
        self._clock = clock
        self._due: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def wait(self, client: Hashable) -> float:
        """Count a request; 0.0 lets it pass, anything else refuses it and is the seconds until one would pass."""
        now = self._clock()
        due = max(self._due.get(client, now), now) + self._spacing
        early = due - self._tolerance - now
        # A refused request costs its client nothing, or one that never stops asking would never be served again.
        if early > 1e-9:
            return early
        self._due[client] = due
        self._due.move_to_end(client)
        if len(self._due) > self._most:
            self._due.popitem(last=False)
        return 0.0

    def left(self, client: Hashable) -> int:
        """How many requests of this client would pass at this moment."""
        now = self._clock()
        ahead = max(self._due.get(client, now) - now, 0.0)
        return max(0, math.floor((self._tolerance - ahead) / self._spacing + 1e-6))
