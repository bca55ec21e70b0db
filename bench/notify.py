"""How fast notify tells: from a fact on the topic to its message accepted, and messages a second of one process.

python -m bench.notify --facts 4000
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from aiosmtpd.smtp import SMTP

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

PUPILS = 500
_UAI = "0921234S"
_sequences = count(1)


class Sink:
    """A mail server that accepts everything and notes when, by recipient."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, float]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Accept."""
        self.accepted.append((envelope.rcpt_tos[0], time.perf_counter()))
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
def service(database_url: str, bootstrap: str, smtp_port: int) -> Iterator[None]:
    """One notify process."""
    environment = {
        **os.environ, "PREAU_DATABASE_URL": database_url, "PREAU_KAFKA": bootstrap, "PREAU_TOKEN_PUBLIC_KEY": _KEY,
        "PREAU_PORT": str(free_port()), "PREAU_SMTP_HOST": LOOPBACK, "PREAU_SMTP_PORT": str(smtp_port),
        "PREAU_SMTP_TLS": "none", "PREAU_SENDER_ADDRESS": "a@preau.exemple.fr",
        "PREAU_PUBLIC_URL": "https://preau.exemple.fr", "PREAU_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "cli", "run", "notify"], cwd=CHECKOUT, env=environment)
    try:
        yield
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


async def measure(database_url: str, bootstrap: str, facts: int) -> None:
    """Latency with one fact every 20 ms, then a burst."""
    await ensure_topics(bootstrap)
    sink, loop = Sink(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, hostname="bench", loop=loop), LOOPBACK, 0)
    with service(database_url, bootstrap, server.sockets[0].getsockname()[1]):
        async with producing(bootstrap) as producer:
            for key, document in documents():
                await send(producer, directory.TOPIC, key, document)
            position = next(_sequences) - 1
            await send(producer, grades.TOPIC, "pupils/warm", fact(PUPILS), position)
            await sink.until(1, 60)
            await _latency(producer, sink)
            await _burst(producer, sink, facts)
    server.close()


async def _latency(producer: AIOKafkaProducer, sink: Sink) -> None:
    number, began = min(300, PUPILS - 1), {}
    before = len(sink.accepted)
    for n in range(1, number + 1):
        began[f"p{n}@exemple.fr"] = time.perf_counter()
        await send(producer, grades.TOPIC, f"pupils/{n}", fact(n))
        await asyncio.sleep(0.02)
    await sink.until(before + number, 60)
    took = sorted((at - began[to]) * 1000 for to, at in sink.accepted[before:])
    print(
        f"fact on the topic -> accepted, 50/s: p50 {statistics.median(took):.1f} ms, p99 {took[-number // 100]:.1f} ms"
    )


async def _burst(producer: AIOKafkaProducer, sink: Sink, facts: int) -> None:
    before, began = len(sink.accepted), time.perf_counter()
    for n in range(facts):
        await send(producer, grades.TOPIC, f"pupils/{n % PUPILS + 1}", fact(n % PUPILS + 1))
    await sink.until(before + facts, 600)
    seconds = time.perf_counter() - began
    print(f"{facts} facts at once: {facts / seconds:.0f} messages/s from the first fact to the last message accepted")


def main() -> None:
    """Measure on servers of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=4000, help="size of the burst")
    facts = parser.parse_args().facts
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as (database_url, bootstrap):
        asyncio.run(measure(database_url, bootstrap, facts))


if __name__ == "__main__":
    main()
