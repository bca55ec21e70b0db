"""How long a grade takes from the POST at the gateway to a parent's open stream, beside the floor, hop by hop."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import school as schools
from bench.floors import latency as floor
from bench.machine import on_core
from bench.report import Measure, Report, at_most, of_rounds
from bench.rounds import ROUNDS
from bench.school import School
from bench.servers import listening, running, servers
from bench.wire import Posted, Poster, Stream, poster, stream
from cli.first_start import load_demo_school
from cli.running_home import RunningHome
from contracts.envelope import Audience, from_headers
from contracts.feed import item_id
from infra.local.home import CHECKOUT
from infra.local.ports import LOOPBACK, free_port
from infra.topics import Topic, ensure_topics
from services.grades.domain import grade_id

RATES = {20: 10.0, 200: 5.0}
"""Items a second, and for how many seconds each is sent."""
CONNECTIONS = 32
_PARTS = ("relay", "directory", "grades", "feed", "gateway-1")
_WARM_UP = 100
_ARRIVAL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run at one rate gave, in milliseconds."""

    arrivals: list[float]
    answers: list[float]

    def p(self, percent: int) -> float:
        """A percentile of the arrivals."""
        return percentile(self.arrivals, percent)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which this share lies."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


async def paced(count: int, rate: float, send: Callable[[int], Awaitable[None]]) -> None:
    """Send at an even pace, whether the answers come or not."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.create_task(_one(send, number))


async def _one(send: Callable[[int], Awaitable[None]], number: int) -> None:
    await send(number)


class Arrivals:
    """What was sent and has not arrived yet, by what tells it; the order of one thing's changes is kept on the way."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self._sent: dict[str, deque[float]] = defaultdict(deque)
        self._waiting = 0
        self._none = asyncio.Event()

    def sent(self, what: str) -> None:
        """It leaves now."""
        self._sent[what].append(time.perf_counter())
        self._waiting += 1
        self._none.clear()

    def arrived(self, what: str) -> None:
        """It is here."""
        waiting = self._sent.get(what)
        if waiting:
            self.milliseconds.append((time.perf_counter() - waiting.popleft()) * 1000)
            self._waiting -= 1
            if not self._waiting:
                self._none.set()

    async def all(self) -> None:
        """Wait until all has arrived; raises TimeoutError when something does not."""
        if self._waiting:
            await asyncio.wait_for(self._none.wait(), _ARRIVAL_SECONDS)


class Posts:
    """The platform's side: single grades posted at the gateway, and the families' streams."""

    def __init__(self, place: School, assessments: list[str], posters: list[Poster]) -> None:
        self._place = place
        self._free: asyncio.Queue[Poster] = asyncio.Queue()
        for connection in posters:
            self._free.put_nowait(connection)
        # One after the other through the class, and an assessment further each time round: rarely the same row twice.
        places = itertools.cycle((assessment, family.pupil) for assessment in assessments for family in place.families)
        self._next: Iterator[tuple[str, str]] = places
        self._scores = itertools.count(1)
        self.arrivals = Arrivals()

    async def run(self, rate: int, count: int) -> Run:
        """Post at a rate; returns once every item has arrived."""
        self.arrivals, answers = Arrivals(), []

        async def send(_: int) -> None:
            assessment, pupil = next(self._next)
            score = f"{next(self._scores) % 9999 / 10:g}"
            asked = schools.marks(self._place, assessment, {pupil: score})
            connection = await self._free.get()
            self.arrivals.sent(str(item_id(grade_id(UUID(assessment), UUID(pupil)), Audience.GUARDIANS)))
            began = time.perf_counter()
            await connection.post(asked)
            answers.append((time.perf_counter() - began) * 1000)
            self._free.put_nowait(connection)

        await paced(count, rate, send)
        await self.arrivals.all()
        return Run(self.arrivals.milliseconds, answers)

    def heard(self, data: bytes) -> None:
        """A family's stream said something."""
        document = json.loads(data)
        if document.get("audience") == "guardians" and "title" in document:
            self.arrivals.arrived(document["id"])


@asynccontextmanager
async def posts(home: RunningHome) -> AsyncIterator[Posts]:
    """Families with open streams, a teacher with open connections."""
    place = await schools.school(home)
    made = await schools.assessments(place, 8, "Bench")
    posters = [await poster(home.url) for _ in range(CONNECTIONS)]
    side = Posts(place, made, posters)
    streams = [await _opened(home.url, family.token, side.heard) for family in place.families]
    await side.run(20, _WARM_UP)
    yield side
    for one in streams:
        one.close()
    for connection in posters:
        connection.close()


async def _opened(url: str, token: str, heard: Callable[[bytes], None]) -> Stream:
    """An open stream; a gateway that has just started may not have caught up yet."""
    async with asyncio.timeout(_ARRIVAL_SECONDS):
        while True:
            try:
                return await stream(url, token, heard)
            except Posted:
                await asyncio.sleep(0.1)


class Floor:
    """The floor's side: the same pace, the same size of message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count(10_000_000)
        self.arrivals = Arrivals()
        self._listening = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            self.arrivals.arrived(line[:8].decode())

    async def run(self, rate: int, count: int) -> Run:
        """Send at a rate; returns once all has arrived."""
        self.arrivals = Arrivals()

        async def send(_: int) -> None:
            name = str(next(self._numbers))
            self.arrivals.sent(name)
            self._writer.write(name.encode() + b"x" * 592 + b"\n")

        await paced(count, rate, send)
        await self.arrivals.all()
        return Run(self.arrivals.milliseconds, [])


@asynccontextmanager
async def floors(home: RunningHome) -> AsyncIterator[Floor]:
    """The floor's three processes on the platform's own servers."""
    await ensure_topics(home.kafka, [Topic(floor.GRADES, "bench", partitions=12), Topic(floor.FEED, "bench")])
    database = home.database_url("grades")
    connection = await asyncpg.connect(database)
    await connection.execute(floor.SCHEMA)
    await connection.close()
    ports = {role: free_port() for role in floor.ROLES}
    with _processes(ports, home.kafka, database):
        reader, push = await _reached(ports["push"])
        await _reached(ports["hop"])
        answers, commit = await _reached(ports["commit"])
        draining = asyncio.create_task(_drain(answers))
        side = Floor(reader, commit)
        await side.run(20, _WARM_UP)
        yield side
        draining.cancel()
        push.close()


@contextmanager
def _processes(ports: dict[str, int], kafka: str, database: str) -> Iterator[None]:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.floors.latency", role],
            cwd=CHECKOUT,
            env={**os.environ, "FLOOR_PORT": str(port), "FLOOR_KAFKA": kafka, "FLOOR_DATABASE": database},
        )
        for role, port in ports.items()
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait(10)


async def _reached(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                await asyncio.sleep(0.05)


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


# Hop by hop


class Hops:
    """Where the time goes, told by the records on the way: their causes' times and Kafka's own."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._began = 0.0

    def begin(self) -> None:
        """From now on."""
        self._began = time.time()

    async def medians(self) -> dict[str, float]:
        """Milliseconds at p50: deciding until the relay has sent, and that until the feed's item was sent."""
        grades = await self._records("grades", 12)
        feed = await self._records("feed", 1)
        both = [(grades[id], feed[id]) for id in grades.keys() & feed.keys()]
        decided_to_sent = [sent - decided for (decided, sent), _ in both]
        sent_to_item = [item - sent for (_, sent), (_, item) in both]
        return {
            "decided → sent by the relay": statistics.median(decided_to_sent),
            "sent by the relay → item sent by the feed": statistics.median(sent_to_item),
        }

    async def _records(self, topic: str, partitions: int) -> dict[str, tuple[float, float]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            since = await consumer.offsets_for_times(dict.fromkeys(places, int(self._began * 1000)))
            return await self._read(consumer, {p: (since[p].offset if since[p] else ends[p], ends[p]) for p in places})
        finally:
            await consumer.stop()

    async def _read(
        self, consumer: AIOKafkaConsumer, spans: dict[TopicPartition, tuple[int, int]]
    ) -> dict[str, tuple[float, float]]:
        found = {}
        left = {place for place, (start, end) in spans.items() if start < end}
        for place, (start, _) in spans.items():
            consumer.seek(place, start)
        while left:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    envelope = from_headers(record.headers, record.key)
                    found[envelope.id] = (envelope.time.timestamp() * 1000, float(record.timestamp))
                if records and records[-1].offset + 1 >= spans[place][1]:
                    left.discard(place)
        return found


# Measuring


def measure() -> Report:
    """Alternate floor and platform at each rate. Of the platform runs what is on a grade's way, one process of each."""
    # With room, Kafka's compiler would be at work all the while, on the two cores that are measured.
    with servers(roomy=False) as system, ExitStack() as stack:
        for name in _PARTS:
            stack.enter_context(running(system, name))
        listening(system, "directory", "grades", "feed", "gateway")
        home = RunningHome(system.home, system.url, system.postgres_place, system.bootstrap)
        load_demo_school(home, known_to=("grades", "feed", "gateway"))
        on_core(0)
        return uvloop.run(_measure(home))


async def _measure(home: RunningHome) -> Report:
    report = Report("latency")
    async with posts(home) as ours, floors(home) as theirs:
        for rate, seconds in RATES.items():
            await _at(report, home, ours, theirs, rate, seconds)
    return report


async def _at(report: Report, home: RunningHome, ours: Posts, theirs: Floor, rate: int, seconds: float) -> None:
    hops = Hops(home.kafka)
    pairs = []
    hops.begin()
    for _ in range(ROUNDS):
        lowest = await theirs.run(rate, int(rate * seconds))
        pairs.append((lowest, await ours.run(rate, int(rate * seconds))))
    name = f"{rate} items/s"
    for percent in (50, 99):
        report.add(of_rounds(f"{name}: floor p{percent}", [low.p(percent) for low, _ in pairs], "ms"))
        report.add(of_rounds(f"{name}: POST → stream p{percent}", [run.p(percent) for _, run in pairs], "ms"))
    ratios = [run.p(50) / low.p(50) for low, run in pairs]
    report.add(of_rounds(f"{name}: p50 to the floor's", ratios, "×", at_most(2)))
    report.add(of_rounds(f"{name}: POST → answer p50", [percentile(run.answers, 50) for _, run in pairs], "ms"))
    for hop, value in (await hops.medians()).items():
        report.add(Measure(f"{name}: {hop} p50", value, "ms"))
    report.series[name] = sorted((float(p), statistics.median(run.p(p) for _, run in pairs)) for p in range(1, 100))
    report.series[f"{name}: floor"] = sorted(
        (float(p), statistics.median(low.p(p) for low, _ in pairs)) for p in range(1, 100)
    )


def main() -> bool:
    """Run it; whether every bound holds."""
    return measure().close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
