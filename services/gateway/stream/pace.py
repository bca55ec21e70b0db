"""The pace of writing: at once while the process is idle, gathered when it is hot, heartbeats spread over time."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from services.gateway.stream.reader import Reader

_SLOTS = 60


@dataclass(frozen=True, slots=True)
class Pace:
    """How the fan-out spends writes; times in seconds, sizes in bytes."""

    gather_least: float = 0.002
    gather_most: float = 0.010
    joined_bytes: int = 64 * 1024
    beat: float = 15.0
    reader_deadline: float = 30.0


class Tempo:
    """Judges how hot the process is, by what its writes took. The loop's own time may stand still within one callback."""

    def __init__(self, pace: Pace) -> None:
        self.gather = pace.gather_least
        """Seconds that items are gathered for, and that lie between two single writes to one reader."""
        self._pace = pace
        self._cool_at = 0.0

    def idle(self) -> bool:
        """Whether items may be written at once: that may take half of the time, the other half gathers."""
        return perf_counter() >= self._cool_at

    def wrote(self, began: float) -> None:
        """Note single writes that began at a moment of `perf_counter`."""
        self._cool_at = 2 * perf_counter() - began

    def flushed(self, began: float) -> None:
        """Note a flush: one that takes long says the process is hot, so the next waits longer and carries more."""
        self.wrote(began)
        self.gather = min(max(2 * (perf_counter() - began), self._pace.gather_least), self._pace.gather_most)


class Wheel:
    """The readers in as many parts as there are heartbeats' ticks, so that no tick has to serve all."""

    def __init__(self, beat: float) -> None:
        self.tick = beat / _SLOTS
        """Seconds between two turns."""
        self._slots: list[set[Reader]] = [set() for _ in range(_SLOTS)]
        self._filled = 0
        self._turned = 0

    def add(self, reader: Reader) -> None:
        """Put a reader into the next part."""
        reader.slot = self._filled = (self._filled + 1) % _SLOTS
        self._slots[reader.slot].add(reader)

    def discard(self, reader: Reader) -> None:
        """Take a reader out."""
        self._slots[reader.slot].discard(reader)

    def turn(self) -> tuple[Reader, ...]:
        """The part whose heartbeat is due now."""
        self._turned = (self._turned + 1) % _SLOTS
        return tuple(self._slots[self._turned])
