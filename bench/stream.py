"""How fast one gateway process gives items to open streams, beside a bare protocol that writes ready bytes."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psutil
import uvloop

from bench.crowds import Crowd
from bench.families import UAI, Family, Items, Prepared, Town, families, town
from bench.floors import stream as floors
from bench.fronts import floor, gateway, ready_bytes, until_open
from bench.machine import on_core, open_files
from bench.report import Measure, Report, at_least, at_most, of_rounds
from bench.rounds import ROUNDS
from bench.servers import servers
from contracts import feed
from contracts.feed import pupil_scope, school_scope
from infra.local.system import System

CROWDS = (10_000, 1_000)
"""Connections on a school's item."""
FAMILIES = 2_000
"""Connections that get items of their own, this many a second."""
_SINGLE_FRAMES = 60_000
_BURST_FRAMES = 400_000
_TARGETED_SECONDS = 5.0
_URGENT = 5
_LOSS_SECONDS = 20.0
_REST_SECONDS = 0.05
_SETTLE_SECONDS = 2.0
_FILES = max(CROWDS) + 1_000


@dataclass
class Side:
    """The platform or the floor: who listens, its process, and how an item gets to it."""

    town: Town
    tokens: Sequence[str]
    crowd: Crowd
    process: psutil.Process
    topic: str
    record: Callable[[Prepared, int | None], Prepared]
    """What is sent for an item; the number is that of the only listener it is for."""
    lost: int = 0
    opened: list[float] = field(default_factory=list)
    """Streams a second, each time a crowd came."""
    memory: list[float] = field(default_factory=list)
    """KiB that each idle stream took, each time; only the first finds all of it new."""
    _items: Items = field(default_factory=Items)

    def item(self, scope: str, listener: int | None = None) -> tuple[bytes, Prepared]:
        """A fresh item: its id and what is sent for it."""
        id, record = self._items.of(scope)
        return id, self.record(record, listener)

    @asynccontextmanager
    async def listening(self, count: int) -> AsyncIterator[None]:
        """So many open streams."""
        before, began = self.process.memory_info().rss, time.perf_counter()
        await self.crowd.open(self.tokens[:count])
        self.opened.append(count / (time.perf_counter() - began))
        if not self.memory:
            await asyncio.sleep(_SETTLE_SECONDS)
        self.memory.append((self.process.memory_info().rss - before) / count / 1024)
        yield
        await self.crowd.close()

    async def arrived(self) -> None:
        """Wait for everything expected, and count what does not come."""
        self.lost += await self.crowd.all(_LOSS_SECONDS)

    # To everyone

    async def singly(self) -> float:
        """Frames a second of items that come one by one, from the first arrival of each to its last."""
        speeds = []
        for _ in range(max(5, _SINGLE_FRAMES // len(self.crowd.listeners))):
            speeds.append(await self._course(1))
            # The process is idle again: an item that comes in the wake of another would be gathered.
            await asyncio.sleep(_REST_SECONDS + 2 * (self.crowd.last - self.crowd.first))
        return statistics.median(speeds)

    async def at_once(self) -> float:
        """Frames a second of items that come all at once."""
        return await self._course(_BURST_FRAMES // len(self.crowd.listeners))

    async def _course(self, count: int) -> float:
        crowd = self.crowd
        crowd.begin()
        items = [self.item(school_scope(UAI)) for _ in range(count)]
        crowd.expect([id for id, _ in items], crowd.listeners)
        await self.town.send(self.topic, [record for _, record in items])
        await self.arrived()
        return (len(crowd.listeners) * count - 1) / (crowd.last - crowd.first)

    async def urgent(self) -> list[float]:
        """Seconds until an item for all has reached each."""
        found = []
        for _ in range(_URGENT):
            self.crowd.begin()
            id, record = self.item(school_scope(UAI))
            self.crowd.expect([id], self.crowd.listeners)
            self.crowd.sent[id] = time.perf_counter()
            await self.town.send(self.topic, [record])
            await self.arrived()
            found += self.crowd.delays
            await asyncio.sleep(_REST_SECONDS)
        return found

    # To one family each

    async def targeted(self, known: Sequence[Family]) -> list[float]:
        """Seconds that items for single families take, sent at an even pace."""
        self.crowd.begin()
        count = len(self.crowd.listeners)
        order = [number * 7919 % count for number in range(int(FAMILIES * _TARGETED_SECONDS))]
        items = [(number, *self.item(pupil_scope(known[number].pupil), number)) for number in order]
        for number, id, _ in items:
            self.crowd.expect([id], [self.crowd.listeners[number]])
        began, acknowledged = time.perf_counter(), []
        for place, (_, id, record) in enumerate(items):
            if (early := began + place / FAMILIES - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            self.crowd.sent[id] = time.perf_counter()
            acknowledged += await self.town.hand_over(self.topic, [record])
        await asyncio.gather(*acknowledged)
        await self.arrived()
        return self.crowd.delays


def _as_it_is(record: Prepared, _: int | None) -> Prepared:
    return record


def _ready(record: Prepared, listener: int | None) -> Prepared:
    return Prepared(b"" if listener is None else b"%d" % listener, ready_bytes(record), [])


# Measuring


async def to_everyone(report: Report, bare: Side, ours: Side, count: int) -> None:
    """A school's item, alternately."""
    floor, single, burst = [], [], []
    for _ in range(ROUNDS):
        async with bare.listening(count):
            floor.append(await bare.singly())
        async with ours.listening(count):
            single.append(await ours.singly())
            burst.append(await ours.at_once())
    name = f"{count:,} connections"
    report.add(of_rounds(f"{name}: floor", floor, "frames/s"))
    report.add(of_rounds(f"{name}: one by one", single, "frames/s"))
    report.add(of_rounds(f"{name}: a burst", burst, "frames/s"))
    report.add(of_rounds(f"{name}: one by one to the floor's", _ratios(single, floor), "×", at_least(0.7)))
    report.add(of_rounds(f"{name}: a burst to the floor's", _ratios(burst, floor), "×", at_least(4)))


async def to_single_families(report: Report, bare: Side, ours: Side, known: Sequence[Family]) -> None:
    """Items of single families, then one that is urgent for all, alternately."""
    floor, own, urgent = [], [], []
    for _ in range(ROUNDS):
        async with bare.listening(FAMILIES):
            floor.append(await bare.targeted(known))
        async with ours.listening(FAMILIES):
            own.append(await ours.targeted(known))
            urgent.append(await ours.urgent())
    for percent in (50, 99):
        for name, runs in (("floor", floor), ("single families", own)):
            values = [_percentile(run, percent) for run in runs]
            report.add(of_rounds(f"{FAMILIES:,} items/s, {name}: p{percent}", values, "ms"))
    ratios = _ratios([_percentile(run, 99) for run in own], [_percentile(run, 99) for run in floor])
    report.add(of_rounds(f"{FAMILIES:,} items/s: p99 to the floor's", ratios, "×", at_most(4)))
    delays = [_percentile(run, 99) for run in urgent]
    report.add(of_rounds(f"urgent item to {FAMILIES:,}: p99", delays, "ms", at_most(1000)))


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return 1000 * statistics.quantiles(seconds, n=100)[percent - 1]


def _ratios(values: Sequence[float], floors: Sequence[float]) -> list[float]:
    return [value / low for value, low in zip(values, floors, strict=True)]


async def measure(system: System, processes: tuple[psutil.Process, psutil.Process], port: int) -> Report:
    """All of it; the largest crowd comes first, so that what it takes of memory is all new."""
    report = Report("stream")
    known = families(max(CROWDS))
    tokens, names = [family.token for family in known], [str(number) for number in range(len(known))]
    async with town(system.bootstrap) as here:
        await here.settle(system.databases["gateway"], known)
        ours = Side(here, tokens, Crowd(system.port), processes[0], feed.TOPIC, _as_it_is)
        bare = Side(here, names, Crowd(port), processes[1], floors.TOPIC, _ready)
        for side in (bare, ours):
            await until_open(side.crowd, side.tokens[0])
        gc.freeze()
        for count in CROWDS:
            await to_everyone(report, bare, ours, count)
        await to_single_families(report, bare, ours, known)
    report.add(Measure("memory of an idle connection: floor", bare.memory[0], "KiB"))
    report.add(Measure("memory of an idle connection", ours.memory[0], "KiB", at_most(12)))
    report.add(of_rounds("streams opened: floor", bare.opened, "1/s"), of_rounds("streams opened", ours.opened, "1/s"))
    lost = bare.lost + ours.lost + bare.crowd.wrong + ours.crowd.wrong
    report.add(Measure("frames lost, doubled or out of order, streams cut", lost, "", at_most(0)))
    return report


def main() -> bool:
    """Run it; whether every bound holds."""
    open_files(_FILES)
    with servers() as system, gateway(system) as ours, floor(system) as (bare, port):
        on_core(0)
        return uvloop.run(measure(system, (ours, bare), port)).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
