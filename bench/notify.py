"""How fast notify tells: from a fact on the topic to its message accepted, and messages a second of one process."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import uvloop
from aiokafka import AIOKafkaProducer
from aiosmtpd.smtp import SMTP

from bench.report import Report, at_least, at_most, of_rounds
from bench.rounds import ROUNDS
from bench.servers import cpu_seconds
from contracts import directory, grades
from contracts.catalogue import example
from contracts.directory import GuardianLink, LinkKind, PersonChanged, Role, RoleName, SchoolChanged
from contracts.envelope import Audience, Envelope, Event, new_id, to_headers
from contracts.grades import GradePublished, Mark
from infra.local.home import CHECKOUT, Home
from infra.local.kafka import Kafka
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import Postgres
from infra.topics import ensure_topics
from services.directory.beat import beat

PUPILS = 500
FACTS = 1600
_CONNECTIONS = 8
_BEAT_SECONDS = 1.0
_MESSAGE_ID = re.compile(rb"^Message-ID: *(\S+)", re.MULTILINE | re.IGNORECASE)
_UAI = "0921234S"
_sequences = count(1)


class Sink:
    """A mail server that accepts everything and notes when, by recipient, and under which identity."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, float]] = []
        self.ids: set[bytes] = set()
        self.content = b""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Accept."""
        self.accepted.append((envelope.rcpt_tos[0], time.perf_counter()))
        self.content = envelope.content
        self.ids.update(_MESSAGE_ID.findall(self.content))
        return "250 accepted"

    async def until(self, number: int, seconds: float) -> None:
        """Wait for so many messages in all."""
        async with asyncio.timeout(seconds):
            while len(self.accepted) < number:  # noqa: ASYNC110 - polled coarsely, what is timed is noted at arrival
                await asyncio.sleep(0.01)


@contextmanager
def servers(folder: Path) -> Iterator[tuple[str, str]]:
    """A database URL and Kafka's address."""
    home = Home(folder)
    home.create()
    postgres, kafka = Postgres(home), Kafka(home)
    for server in (postgres, kafka):
        server.prepare()
        server.start()
    try:
        yield postgres.create_database("preau_notify"), kafka.bootstrap
    finally:
        kafka.stop()
        postgres.stop()


@contextmanager
def service(database_url: str, bootstrap: str, smtp_port: int) -> Iterator[psutil.Process]:
    """One notify process."""
    environment = {
        **os.environ, "PREAU_DATABASE_URL": database_url, "PREAU_KAFKA": bootstrap, "PREAU_TOKEN_PUBLIC_KEY": _KEY,
        "PREAU_PORT": str(free_port()), "PREAU_SMTP_HOST": LOOPBACK, "PREAU_SMTP_PORT": str(smtp_port),
        "PREAU_SMTP_TLS": "none", "PREAU_SMTP_CONNECTIONS": str(_CONNECTIONS), "PREAU_SENDER_ADDRESS": "a@preau.exemple.fr",
        "PREAU_PUBLIC_URL": "https://preau.exemple.fr", "PREAU_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "cli", "run", "notify"], cwd=CHECKOUT, env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----"""


@asynccontextmanager
async def producing(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that sends at once."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def person(name: int, **changes: Any) -> PersonChanged:
    """Somebody of the bench's school."""
    values: dict[str, Any] = {"id": UUID(int=name), "given_name": "Zoé", "family_name": "Test", "roles": []}
    return PersonChanged(**(values | changes))


def documents() -> Iterator[tuple[str, Event]]:
    """A school whose pupils have one guardian each."""
    school = SchoolChanged(uai=_UAI, name="Collège", zone="Europe/Paris", school_years=[], terms=[])
    yield directory.school_key(_UAI), school
    for n in range(1, PUPILS + 1):
        adult = person(10_000 + n, email=f"p{n}@exemple.fr")
        link = GuardianLink(person=adult.id, kind=LinkKind.LEGAL_GUARDIAN)
        child = person(n, roles=[Role(name=RoleName.PUPIL, uai=_UAI)], guardians=[link])
        yield directory.person_key(adult.id), adult
        yield directory.person_key(child.id), child


async def send(producer: AIOKafkaProducer, topic: str, key: str, event: Event, position: int | None = None) -> Any:
    """Put an event on a topic as the relay does; returns its acknowledgement to be."""
    envelope = Envelope(
        id=new_id(),
        type=event.TYPE,
        source=f"/{topic}",
        subject=key,
        key=key,
        time=datetime.now(UTC),
        sequence=next(_sequences),
        directory_position=position,
    )
    value = event.model_dump_json().encode()
    return await producer.send(topic, value, key.encode(), headers=to_headers(envelope))


_EXAMPLE = GradePublished.model_validate_json(example(GradePublished.TYPE))


def fact(pupil: int) -> GradePublished:
    """A new grade of a pupil, visible to guardians now."""
    now = {"grade": uuid4(), "pupil": UUID(int=pupil), "uai": _UAI, "audience": Audience.GUARDIANS}
    return _EXAMPLE.model_copy(update={**now, "at": datetime.now(UTC), "mark": Mark(score=Decimal("12.5"))})


@dataclass
class Rounds:
    """What each round found."""

    latency: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


async def measure(database_url: str, bootstrap: str) -> Report:
    """Facts one after another every 20 ms, then many at once, beside ready bytes sent to the same server."""
    await ensure_topics(bootstrap)
    sink, loop, found = Sink(), asyncio.get_running_loop(), Rounds()
    server = await loop.create_server(lambda: SMTP(sink, hostname="bench", loop=loop), LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    told = 1
    with service(database_url, bootstrap, port) as notify:
        async with producing(bootstrap) as producer:
            beating = asyncio.create_task(beat(bootstrap, _BEAT_SECONDS))
            for key, document in documents():
                await send(producer, directory.TOPIC, key, document)
            await send(producer, grades.TOPIC, "pupils/warm", fact(PUPILS), next(_sequences) - 1)
            await sink.until(1, 60)
            for _ in range(ROUNDS):
                told += await _latency(producer, sink, found)
                told += await _burst(producer, sink, found, notify)
                ids = len(sink.ids)
                found.floor.append(FACTS / await _floor(port, sink.content))
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
    server.close()
    return _report(found, told - ids)


def _report(found: Rounds, untold: int) -> Report:
    report = Report("notify")
    report.add(of_rounds("fact → accepted, 50/s, p50", found.latency, "ms", at_most(60)))
    report.add(of_rounds("fact → accepted, 50/s, p99", found.p99, "ms"))
    report.add(of_rounds("bare connections, ready bytes", found.floor, "messages/s"))
    report.add(of_rounds("one process, many facts at once", found.rate, "messages/s", at_least(300)))
    ratios = [rate / floor for rate, floor in zip(found.rate, found.floor, strict=True)]
    report.add(of_rounds("the same to bare connections", ratios, "×"))
    report.add(of_rounds("CPU of notify", found.cpu, "µs/message"))
    report.add(of_rounds("facts without a message of their own, or with two", [untold], "", at_most(0)))
    return report


async def _latency(producer: AIOKafkaProducer, sink: Sink, found: Rounds) -> int:
    number, began = min(300, PUPILS - 1), {}
    before = len(sink.accepted)
    for n in range(1, number + 1):
        began[f"p{n}@exemple.fr"] = time.perf_counter()
        await send(producer, grades.TOPIC, f"pupils/{n}", fact(n))
        await asyncio.sleep(0.02)
    await sink.until(before + number, 60)
    took = sorted((at - began[to]) * 1000 for to, at in sink.accepted[before:])
    found.latency.append(took[number // 2])
    found.p99.append(took[-number // 100])
    return number


async def _burst(producer: AIOKafkaProducer, sink: Sink, found: Rounds, notify: psutil.Process) -> int:
    before, began, cpu = len(sink.accepted), time.perf_counter(), cpu_seconds(notify)
    for n in range(FACTS):
        await send(producer, grades.TOPIC, f"pupils/{n % PUPILS + 1}", fact(n % PUPILS + 1))
    await sink.until(before + FACTS, 120)
    found.rate.append(FACTS / (time.perf_counter() - began))
    found.cpu.append((cpu_seconds(notify) - cpu) / FACTS * 1e6)
    return FACTS


async def _floor(port: int, content: bytes) -> float:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        arguments = (str(port), str(FACTS), str(_CONNECTIONS), file.name)
        command = [sys.executable, "-m", "bench.floors.mail", *arguments]
        done = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdout=subprocess.PIPE)
        told, _ = await asyncio.wait_for(done.communicate(), 120)
    return float(told)


def main() -> bool:
    """Measure on servers of its own; whether every bound holds."""
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as (database_url, bootstrap):
        return uvloop.run(measure(database_url, bootstrap)).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
