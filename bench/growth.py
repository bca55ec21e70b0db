"""How long what is done all day takes while ever more is kept: a page, a catch-up, a claim, a term's grades stay as fast.

Each size has a schema of its own, so that small and large are measured in turn, in the same rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import asyncpg
import uvloop

from bench import hoards
from bench.report import Report, at_most, of_rounds
from bench.rounds import ROUNDS
from bench.servers import servers
from chassis import relay, repeats
from chassis.database import Connection
from chassis.identity import Caller
from chassis.migrations import CHASSIS, migrate
from infra.local.system import System
from roster.replica import ROSTER
from services.feed import store as feed
from services.feed import usecases
from services.feed.app import MIGRATIONS as FEED
from services.grades import store as grades
from services.grades.app import MIGRATIONS as GRADES
from services.grades.averages import by_term

_SEED = 92
_GROWN = 1.5
"""What the largest may take of what the smallest takes."""
_PAGE = 30
_MISSED = 10
"""Items that a cursor is behind."""
_AUDIENCE = "guardians"

Probe = Callable[[Connection, int, Random], Awaitable[Callable[[], Awaitable[object]]]]
"""Prepares one operation on what has this size; what it returns does it, and is timed."""


@dataclass(frozen=True)
class Growth:
    """What grows, and what is done with it at each size."""

    what: str
    service: str
    components: Sequence[tuple[str, Path]]
    sizes: Sequence[int]
    fill: Callable[[Connection, int], Awaitable[None]]
    probes: Mapping[str, Probe]
    samples: int = 200


def _finds(read: Callable[[], Awaitable[Sequence[object]]], count: int) -> Callable[[], Awaitable[object]]:
    async def work() -> None:
        assert len(await read()) == count

    return work


async def _page(connection: Connection, size: int, random: Random) -> Callable[[], Awaitable[object]]:
    parent = Caller(person=hoards.parent(size, random))

    async def read() -> Sequence[object]:
        # What the service asks of its database for a page.
        async with connection.transaction(isolation="repeatable_read"):
            reader = await usecases.reading(connection, parent, None)
            state = await usecases.serving(connection)
            return await feed.page(connection, reader.wanted, None, None, _PAGE, state.generation)

    return _finds(read, _PAGE)


async def _rows(connection: Connection, size: int, random: Random) -> Callable[[], Awaitable[object]]:
    scopes = [hoards.scope(size, random) for _ in range(2)]
    return _finds(lambda: feed.page(connection, scopes, None, None, _PAGE, 1), _PAGE)


async def _catch_up(connection: Connection, size: int, random: Random) -> Callable[[], Awaitable[object]]:
    scope = hoards.scope(size, random)
    last = (await feed.page(connection, [scope], None, None, _MISSED + 1, 1))[-1]
    return _finds(lambda: feed.changes(connection, [scope], last.position, None, _PAGE, 1), _MISSED)


async def _claim(connection: Connection, _size: int, _random: Random) -> Callable[[], Awaitable[object]]:
    async def work() -> None:
        # What the relay does for a batch, taken back so that the backlog stays.
        async with _undone(connection):
            rows = await relay.claim(connection)
            ids = [row["id"] for row in rows]
            await relay.claim(connection, (), ids)
            await relay.claim(connection, ids)

    return work


async def _guard(connection: Connection, size: int, random: Random) -> Callable[[], Awaitable[object]]:
    events = hoards.received(size, random)

    async def work() -> None:
        async with connection.transaction():
            assert len(await repeats.only_new(connection, hoards.CONSUMER, events)) == len(events)

    return work


async def _term(connection: Connection, years: int, random: Random) -> Callable[[], Awaitable[object]]:
    asked = hoards.asked(years, random)
    return _finds(
        lambda: grades.seen_grades(connection, asked.pupil, _AUDIENCE, None, 50, asked.term), hoards.GRADES_OF_A_TERM
    )


async def _averages(connection: Connection, years: int, random: Random) -> Callable[[], Awaitable[object]]:
    asked = hoards.asked(years, random)

    async def work() -> None:
        assert asked.school_year in await grades.school_years(connection, asked.pupil, _AUDIENCE)
        by_term(asked.pupil, await grades.of_classes(connection, asked.pupil, _AUDIENCE, asked.school_year, []), {})

    return work


@asynccontextmanager
async def _undone(connection: Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


GROWING = (
    Growth(
        "items in the feed",
        "feed",
        (CHASSIS, ROSTER, FEED),
        (10_000, 100_000, 1_000_000, 5_000_000),
        hoards.items,
        {"page of the feed": _page, "catch-up by cursor": _catch_up, "rows of a page": _rows},
    ),
    Growth(
        "rows of backlog", "grades", (CHASSIS,), (10_000, 100_000, 1_000_000), hoards.backlog, {"claim": _claim}, 20
    ),
    Growth(
        "keys in the repeat guard",
        "feed",
        (CHASSIS,),
        (10_000, 100_000, 1_000_000),
        hoards.guard,
        {"guard": _guard},
        60,
    ),
    Growth(
        "years of grades",
        "grades",
        (CHASSIS, ROSTER, GRADES),
        (1, 2, 10),
        hoards.years,
        {"grades of a term": _term, "averages of a year": _averages},
        60,
    ),
)


async def _prepared(system: System, growth: Growth, size: int) -> Connection:
    """A connection to a schema of its own that holds so much."""
    url, schema = system.databases[growth.service], f"with_{size}_{growth.what.replace(' ', '_')}"
    admin = await asyncpg.connect(url)
    await admin.execute(f"CREATE SCHEMA {schema}")
    await admin.close()
    url += f"{'&' if '?' in url else '?'}search_path={schema}"
    await migrate(url, growth.components)
    connection = await asyncpg.connect(url, command_timeout=30)
    await growth.fill(connection, size)
    return connection


async def _milliseconds(connection: Connection, size: int, probe: Probe, samples: int, random: Random) -> float:
    """The median time of one operation."""
    found = []
    for _ in range(samples):
        work = await probe(connection, size, random)
        began = time.perf_counter()
        await work()
        found.append(time.perf_counter() - began)
    return statistics.median(found) * 1000


async def measure(system: System, growth: Growth, report: Report) -> None:
    """Measure what is done with it at each size, sizes in turn."""
    random = Random(_SEED)
    connections = {size: await _prepared(system, growth, size) for size in growth.sizes}
    for name, probe in growth.probes.items():
        found: dict[int, list[float]] = {size: [] for size in growth.sizes}
        for number in range(ROUNDS + 1):
            for size, connection in connections.items():
                taken = await _milliseconds(connection, size, probe, growth.samples, random)
                if number > 0:  # the first round warms up
                    found[size].append(taken)
        for size in growth.sizes:
            report.add(of_rounds(f"{name}, {size:,} {growth.what}", found[size], "ms"))
        smallest, largest = found[growth.sizes[0]], found[growth.sizes[-1]]
        ratios = [high / low for low, high in zip(smallest, largest, strict=True)]
        report.add(of_rounds(f"{name}, largest to smallest", ratios, "×", at_most(_GROWN)))
        report.series[name] = [(size, statistics.median(found[size])) for size in growth.sizes]
    for connection in connections.values():
        await connection.close()


async def measured(system: System, chosen: Sequence[Growth] = GROWING) -> Report:
    """Everything that grows, one after the other."""
    report = Report("growth")
    for growth in chosen:
        await measure(system, growth, report)
    return report


def main() -> bool:
    """Run it; whether every bound holds."""
    with servers("postgres") as system:
        return uvloop.run(measured(system)).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
