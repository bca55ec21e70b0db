"""The ring: a bounded log of recent items with the offsets of each scope's items; it is the send path and serves resumes."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter

_by_offset = attrgetter("offset")


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the feed's total order: its offset, the scope that may see it, its frame without a reader's ending."""

    offset: int
    scope: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive frames for one reader; `last` is the offset of the last, `more` whether the budget cut it short."""

    frames: list[bytes]
    last: int
    more: bool


_NOTHING = Run([], -1, False)


class Ring:
    """Items in offset order, the oldest dropped beyond a count or a number of bytes.

    A position is the offset of the last item a reader has; the ring can serve every position from `floor` on.
    """

    def __init__(self, most_items: int, most_bytes: int, first: int = 0) -> None:
        """`first` is the first offset that will be appended or skipped; nothing before it can be served."""
        self.floor = first - 1
        self.head = first - 1
        self.bytes = 0
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._items: deque[Item] = deque()
        self._by_scope: dict[str, _Own] = {}
        self._runs: dict[tuple[str, int], Run] = {}

    def __len__(self) -> int:
        return len(self._items)

    def begin_at(self, first: int) -> None:
        """Say which offset comes first, while the ring is empty."""
        self.floor = self.head = first - 1

    def append(self, item: Item) -> None:
        """Add an item; its offset is greater than any before it."""
        if item.offset <= self.head:
            raise ValueError("offsets only grow")
        self.head = item.offset
        self._items.append(item)
        self._by_scope.setdefault(item.scope, _Own()).items.append(item)
        self.bytes += len(item.frame)
        self._runs.clear()
        while len(self._items) > self._most_items or (self.bytes > self._most_bytes and len(self._items) > 1):
            self._drop_oldest()

    def skip(self, offset: int) -> None:
        """Pass an offset that holds no item: a repeat, or a record that is no item."""
        self.head = max(self.head, offset)

    def after(self, position: int, scopes: Collection[str], budget: int) -> Run:
        """What a reader of `scopes` at `position` lacks, in order, of about `budget` bytes; at least one item if any.

        Raises LookupError when the position is older than the ring.
        """
        if position < self.floor:
            raise LookupError("older than the ring")
        live = [scope for scope in scopes if (own := self._by_scope.get(scope)) and own.items[-1].offset > position]
        if not live:
            return _NOTHING
        if len(live) == 1:
            return self._shared_run(live[0], position, budget)
        tails = [self._by_scope[scope].after(position, budget) for scope in live]
        merged = sorted((item for found, _ in tails for item in found), key=_by_offset)
        # Past the last item of a tail that was cut short, later items of that scope may be missing here.
        known = min((found[-1].offset for found, cut in tails if cut), default=merged[-1].offset)
        sure = [item for item in merged if item.offset <= known]
        return _cut(sure, budget, more=len(sure) < len(merged) or any(cut for _, cut in tails))

    def _shared_run(self, scope: str, position: int, budget: int) -> Run:
        # Many readers of one scope stand at the same position when a burst is flushed: cut it once for all.
        run = self._runs.get((scope, position))
        if run is None:
            found, cut = self._by_scope[scope].after(position, budget)
            run = self._runs[scope, position] = _cut(found, budget, more=cut)
        return run

    def _drop_oldest(self) -> None:
        oldest = self._items.popleft()
        self.floor = oldest.offset
        self.bytes -= len(oldest.frame)
        own = self._by_scope[oldest.scope]
        own.drop_first()
        if own.first == len(own.items):
            del self._by_scope[oldest.scope]


class _Own:
    """One scope's items: a list that is searched by offset, and dropped from at its front."""

    __slots__ = ("first", "items")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.first = 0

    def after(self, position: int, budget: int) -> tuple[list[Item], bool]:
        """Items after a position until they exceed a budget of bytes, and whether there are more."""
        begin = end = bisect_right(self.items, position, lo=self.first, key=_by_offset)
        while end < len(self.items) and budget > 0:
            budget -= len(self.items[end].frame)
            end += 1
        return self.items[begin:end], end < len(self.items)

    def drop_first(self) -> None:
        self.first += 1
        # Dropped items are let go in bulk: moving the list for each would cost as much as the list is long.
        if self.first > 32 and self.first * 2 > len(self.items):
            del self.items[: self.first]
            self.first = 0


def _cut(items: list[Item], budget: int, *, more: bool) -> Run:
    frames: list[bytes] = []
    for item in items:
        if frames and budget < len(item.frame):
            return Run(frames, items[len(frames) - 1].offset, True)
        budget -= len(item.frame)
        frames.append(item.frame)
    return Run(frames, items[-1].offset, more)
