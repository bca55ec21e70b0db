"""How many grades a second go from the outbox to Kafka, and through every stage to the feed's database, beside bare stages."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import asyncpg
import psutil
import uvloop

from bench import backlog
from bench.report import Report, at_least, of_rounds
from bench.rounds import ROUNDS
from bench.servers import cpu_seconds, running, servers
from chassis.outbox import CHANNEL
from contracts import grades
from infra.local.home import CHECKOUT
from infra.local.system import System
from infra.topics import Topic, ensure_topics

COUNT = 100_000
_WARM_UP = 5_000
_PARTITIONS = 12
_RUN_SECONDS = 180.0
_POLL_SECONDS = 0.02


@dataclass
class Round:
    """Events a second of each stage alone, and of the platform."""

    bare: dict[str, float] = field(default_factory=dict)
    relay: float = 0.0
    pipeline: float = 0.0
    sent: float = 0.0
    """How fast the relay was while all stages ran."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Microseconds of CPU an event cost each part, all stages at once."""


class Platform:
    """The relay and the feed as they run (as two processes: one would leave a core idle), grades in one database's outbox."""

    def __init__(self, system: System, parts: dict[str, psutil.Process]) -> None:
        self.system = system
        self._parts = parts
        self._outbox: asyncpg.Connection[asyncpg.Record]
        self._history: asyncpg.Connection[asyncpg.Record]

    async def open(self) -> None:
        """Connect to both databases."""
        self._outbox = await asyncpg.connect(self.system.databases["grades"])
        self._history = await asyncpg.connect(self.system.databases["feed"])
        # A service is up before its tables are there.
        while not await self._history.fetchval("SELECT to_regclass('generations')"):  # noqa: ASYNC110 - another's doing
            await asyncio.sleep(_POLL_SECONDS)

    async def relay(self, topic: str, count: int) -> float:
        """Events a second that the relay sends to a topic nobody reads, each deleted once it is acknowledged."""
        return count / await self._timed(topic, count, self._drained)

    async def all_stages(self, name: str, count: int, found: Round) -> None:
        """Events a second from the outbox to the feed's database, every stage at work."""
        before = {part: cpu_seconds(process) for part, process in self._parts.items()}
        wanted = await self._items() + count
        drained = 0.0

        async def kept(began: float) -> None:
            nonlocal drained
            await self._drained(began)
            drained = time.perf_counter() - began
            while await self._items() < wanted:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(_POLL_SECONDS)

        found.pipeline = count / await self._timed(grades.TOPIC, count, kept, name)
        found.sent = count / drained
        for part, process in self._parts.items():
            found.cpu[part] = (cpu_seconds(process) - before[part]) / count * 1e6

    async def _timed(self, topic: str, count: int, done: Callable[[float], Awaitable[None]], name: str = "") -> float:
        async with self._outbox.transaction():
            await backlog.fill(self._outbox, topic, count, name or topic)
        began = time.perf_counter()
        await self._outbox.execute(f"NOTIFY {CHANNEL}")
        await asyncio.wait_for(done(began), _RUN_SECONDS)
        return time.perf_counter() - began

    async def _drained(self, _: float) -> None:
        while await self._outbox.fetchval("SELECT id FROM outbox ORDER BY id LIMIT 1"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_POLL_SECONDS)

    async def _items(self) -> int:
        found: int = await self._history.fetchval("SELECT items FROM generations WHERE state = 'serving'")
        return found


async def floor(system: System, role: str, *topics: str) -> float:
    """Events a second of a bare stage."""
    environment = {**os.environ, "FLOOR_KAFKA": system.bootstrap, "FLOOR_DATABASE": system.databases["feed"]}
    command = [sys.executable, "-m", "bench.floors.pipeline", role, str(COUNT), *topics]
    done = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(done.communicate(), _RUN_SECONDS)
    return COUNT / float(told)


async def one_round(platform: Platform, number: int) -> Round:
    """Each bare stage alone, the relay alone, then everything at once."""
    sent, relayed, hopped = (f"bench.{stage}.{number}" for stage in ("sent", "relayed", "hopped"))
    topics = [Topic(sent, "bench", partitions=_PARTITIONS), Topic(relayed, "bench", partitions=_PARTITIONS)]
    await ensure_topics(platform.system.bootstrap, [*topics, Topic(hopped, "bench")])
    found = Round()
    found.bare["outbox → Kafka"] = await floor(platform.system, "send", sent)
    found.relay = await platform.relay(relayed, COUNT)
    found.bare["topic → topic"] = await floor(platform.system, "hop", sent, hopped)
    found.bare["topic → table"] = await floor(platform.system, "keep", hopped)
    await platform.all_stages(f"round {number}", COUNT, found)
    return found


async def measure(platform: Platform) -> Report:
    """Alternate bare stages and platform."""
    await platform.open()
    # Also waits until the feed's consumers have joined their groups.
    await platform.all_stages("warm-up", _WARM_UP, Round())
    rounds = [await one_round(platform, number) for number in range(ROUNDS)]
    report = Report("pipeline")
    for stage in rounds[0].bare:
        report.add(of_rounds(f"bare {stage}", [found.bare[stage] for found in rounds], "events/s"))
    report.add(of_rounds("relay", [found.relay for found in rounds], "events/s"))
    ratios = [found.relay / found.bare["outbox → Kafka"] for found in rounds]
    report.add(of_rounds("relay to bare sending", ratios, "×", at_least(0.7)))
    report.add(of_rounds("outbox → feed's database", [found.pipeline for found in rounds], "events/s", at_least(8000)))
    ratios = [found.pipeline / min(found.bare.values()) for found in rounds]
    report.add(of_rounds("outbox → feed's database to the slowest bare stage", ratios, "×", at_least(0.4)))
    report.add(of_rounds("relay meanwhile", [found.sent for found in rounds], "events/s"))
    for part in rounds[0].cpu:
        report.add(of_rounds(f"CPU of {part}", [found.cpu[part] for found in rounds], "µs/event"))
    return report


def main() -> bool:
    """Run it; whether every bound holds."""
    with ExitStack() as stack:
        system = stack.enter_context(servers(scale={"feed": 2}))
        parts = {name: stack.enter_context(running(system, name)) for name in ("relay", "feed-1", "feed-2")}
        return uvloop.run(measure(Platform(system, parts))).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
