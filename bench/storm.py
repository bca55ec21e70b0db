"""How a gateway process that has just started takes the families of one that died, all at once, each a hundred items behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

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
from contracts.feed import group_scope, pupil_scope, school_scope
from infra.local.system import System

RETURNING = 5_000
"""Families that come back at once."""
CONNECTED = 200
"""Other families, connected all the while, who get items of their own, this many a second."""
OF_SCHOOL, OF_CLASS, OF_PUPIL = 50, 44, 6
"""What each has missed: of the school, of the class, of the pupil."""
MISSED = OF_SCHOOL + OF_CLASS + OF_PUPIL
_FILES = 12_000
_COME_SECONDS = 60.0
_CALM_SECONDS = 0.5
_AT_ONCE = 4_000
"""What one listening socket holds of connections that wait to be taken."""


@dataclass
class Storm:
    """One round: how it went for those who came, and the delays of others meanwhile."""

    opened: float
    """Seconds until all streams were open."""
    served: float
    """Seconds until each had everything."""
    missing: int
    delays: list[float] = field(default_factory=list)


def missed(items: Items, known: Sequence[Family]) -> tuple[list[Prepared], list[list[bytes]]]:
    """What happened meanwhile, and the ids each family has missed, in order."""
    records: list[Prepared] = []
    of: dict[str, list[bytes]] = {}

    def happened(scope: str, count: int) -> None:
        made = [items.of(scope) for _ in range(count)]
        of.setdefault(scope, []).extend(id for id, _ in made)
        records.extend(record for _, record in made)

    happened(school_scope(UAI), OF_SCHOOL)
    for group in dict.fromkeys(family.group for family in known):
        happened(group_scope(group), OF_CLASS)
    for family in known:
        happened(pupil_scope(family.pupil), OF_PUPIL)
    school = of[school_scope(UAI)]
    return records, [school + of[group_scope(f.group)] + of[pupil_scope(f.pupil)] for f in known]


async def come(crowd: Crowd, tokens: Sequence[str], cursors: Sequence[bytes], ids: Sequence[list[bytes]]) -> Storm:
    """All come at once; ends once each has everything it had missed."""
    crowd.begin()
    listeners = crowd.gather(tokens, cursors)
    for listener, own in zip(listeners, ids, strict=True):
        crowd.expect(own, [listener])
    began = time.perf_counter()
    await crowd.come(listeners, _AT_ONCE)
    opened = time.perf_counter() - began
    missing = await crowd.all(_COME_SECONDS)
    return Storm(opened, crowd.last - began, missing)


class Place:
    """Families of a running platform, and what those who come back have missed."""

    def __init__(self, system: System, here: Town) -> None:
        known = families(RETURNING + CONNECTED)
        self.returning, self.staying = known[:RETURNING], known[RETURNING:]
        self.items = Items()
        self._system = system
        self._here = here
        self._cursors: list[bytes] = []
        self._ids: list[list[bytes]] = []

    async def happen(self) -> None:
        """All are connected and leave; then what they miss happens."""
        with gateway(self._system):
            crowd = Crowd(self._system.port)
            await self._here.settle(self._system.databases["gateway"], [*self.returning, *self.staying])
            await until_open(crowd, self.returning[0].token)
            listeners = await crowd.open([family.token for family in self.returning])
            while not all(one.cursor for one in listeners):  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.01)
            self._cursors = [one.cursor for one in listeners]
            await crowd.close()
        records, self._ids = missed(self.items, self.returning)
        await self._here.send(feed.TOPIC, records)

    async def storm(self) -> Storm:
        """All come back to a process that has never seen them, while others are connected."""
        with gateway(self._system):
            crowd, staying = Crowd(self._system.port), Crowd(self._system.port)
            await until_open(crowd, self.staying[0].token)
            async with self._busy(staying):
                found = await come(crowd, [family.token for family in self.returning], self._cursors, self._ids)
            found.missing += staying.wrong + crowd.wrong + await staying.all(_COME_SECONDS)
            found.delays = staying.delays
            await crowd.close()
            await staying.close()
            return found

    @asynccontextmanager
    async def _busy(self, crowd: Crowd) -> AsyncIterator[None]:
        """Families who stay connected get items at an even pace within the block."""
        await crowd.open([family.token for family in self.staying])
        crowd.begin()
        sending = asyncio.create_task(self._send(crowd))
        await asyncio.sleep(_CALM_SECONDS)
        yield
        sending.cancel()

    async def _send(self, crowd: Crowd) -> None:
        began = time.perf_counter()
        for sent in itertools.count():
            await asyncio.sleep(max(0.0, began + sent / CONNECTED - time.perf_counter()))
            number = sent % len(self.staying)
            id, record = self.items.of(pupil_scope(self.staying[number].pupil))
            crowd.expect([id], [crowd.listeners[number]])
            crowd.sent[id] = time.perf_counter()
            await self._here.hand_over(feed.TOPIC, [record])


class Floor:
    """The floor, which writes as many bytes to each who comes."""

    def __init__(self, here: Town, port: int) -> None:
        self._here = here
        self._port = port
        self._ids: list[bytes] = []

    async def happen(self, items: Items) -> None:
        """Tell it what all have missed."""
        made = [items.of(school_scope(UAI)) for _ in range(MISSED)]
        self._ids = [id for id, _ in made]
        ready = b"".join(ready_bytes(record) for _, record in made)
        await until_open(Crowd(self._port), "0")
        await self._here.send(floors.TOPIC, [Prepared(floors.MISSED, ready, [])])
        await asyncio.sleep(_CALM_SECONDS)

    async def storm(self) -> Storm:
        """All come."""
        crowd = Crowd(self._port)
        found = await come(crowd, [str(number) for number in range(RETURNING)], (), [self._ids] * RETURNING)
        found.missing += crowd.wrong
        await crowd.close()
        return found


async def measure(system: System, port: int) -> Report:
    """Alternate floor and platform."""
    report = Report("storm")
    async with town(system.bootstrap) as here:
        place, floor = Place(system, here), Floor(here, port)
        await place.happen()
        await floor.happen(place.items)
        gc.freeze()
        pairs = [(await floor.storm(), await place.storm()) for _ in range(ROUNDS)]
    bare, ours = [low for low, _ in pairs], [own for _, own in pairs]
    for name, runs, bound in (("floor", bare, None), ("platform", ours, at_least(3000))):
        report.add(of_rounds(f"{name}: connections opened", [RETURNING / one.opened for one in runs], "1/s"))
        served = [RETURNING / one.served for one in runs]
        report.add(of_rounds(f"{name}: connections with all they missed", served, "1/s", bound))
    for percent in (50, 99):
        delays = [1000 * statistics.quantiles(one.delays, n=100)[percent - 1] for one in ours]
        bound = at_most(1000) if percent == 99 else None
        report.add(of_rounds(f"other families meanwhile: p{percent}", delays, "ms", bound))
    wrong = sum(one.missing for one in (*bare, *ours))
    report.add(Measure("items missed, doubled or out of order, streams cut", wrong, "", at_most(0)))
    return report


def main() -> bool:
    """Run it; whether every bound holds."""
    open_files(_FILES)
    with servers() as system, floor(system) as (_, port):
        on_core(0)
        return uvloop.run(measure(system, port)).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
