"""From the outbox through the relay and Kafka to an effect: order, repeats, poison."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka.message import KafkaMessage

from chassis import consumer, outbox
from chassis.consumer import Inbox, Received
from chassis.database import Connection, Database
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import OutboxWaker, lock_keys, outgoing
from chassis.relay import Relay
from chassis.repeats import only_new
from contracts.directory import Beat
from infra.local.kafka import Kafka


async def create_topics(bootstrap: str, *names: str, partitions: int = 3) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    await admin.close()


async def write(database: Database, topic: str, keys: Sequence[str]) -> None:
    async with database.transaction() as connection:
        await lock_keys(connection, keys)
        await outbox.append(connection, [outgoing(topic, Beat(), source="/test", key=key) for key in keys])


async def until(condition: asyncio.Event, seconds: float = 20) -> None:
    await asyncio.wait_for(condition.wait(), seconds)


class Collector:
    """An effect that remembers what it was given and says when it has all."""

    def __init__(self, expected: int, poison: str | None = None) -> None:
        self.seen: list[Received] = []
        self.complete = asyncio.Event()
        self.poison = poison
        self._expected = expected

    async def __call__(self, connection: Connection, events: Sequence[Received]) -> None:
        if any(event.envelope.key == self.poison for event in events):
            raise ValueError("poison")
        self.seen += events
        if len(self.seen) >= self._expected:
            self.complete.set()


def sequences(events: Sequence[Received]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        assert event.envelope.sequence is not None
        found[event.envelope.key].append(event.envelope.sequence)
    return found


async def test_concurrent_writers_keep_order_per_key_and_nothing_is_lost(
    database: Database, kafka: Kafka, topic: str
) -> None:
    await create_topics(kafka.bootstrap, topic)
    collector = Collector(400)
    inbox = Inbox(database, service="test", consumer="test")
    broker = consumer.broker(kafka.bootstrap)

    @consumer.subscribe(broker, topic, group=topic)
    async def on_event(message: KafkaMessage) -> None:
        await inbox.receive(message, collector)

    waker = OutboxWaker(database)
    await waker.start()
    relays = [asyncio.create_task(Relay("test", database.settings.url(), kafka.bootstrap).run()) for _ in range(2)]
    async with consumer.running(broker):
        await asyncio.gather(*(write(database, topic, [f"k{n % 7}", f"k{n % 5}x"]) for n in range(200)))
        await until(collector.complete)
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
    await waker.stop()
    assert len(collector.seen) == 400
    assert all(found == sorted(set(found)) for found in sequences(collector.seen).values())
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_resent_event_is_dropped_and_a_poison_one_parks_its_key_alone(
    database: Database, kafka: Kafka, topic: str
) -> None:
    await create_topics(kafka.bootstrap, topic, "dlq.test", partitions=1)
    collector = Collector(3, poison="bad")
    inbox = Inbox(database, service="test", consumer="test")
    broker = consumer.broker(kafka.bootstrap)

    @consumer.subscribe(broker, topic, group=topic)
    async def on_event(message: KafkaMessage) -> None:
        await inbox.receive(message, collector)

    await write(database, topic, ["good", "bad"])
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO outbox (id, topic, key, headers, value) OVERRIDING SYSTEM VALUE"
            " SELECT -id, topic, key, headers, value FROM outbox WHERE key = 'good'"
        )
    await write(database, topic, ["bad", "other"])
    await write(database, topic, ["good"])
    relay = asyncio.create_task(Relay("test", database.settings.url(), kafka.bootstrap).run())
    dead = AIOKafkaConsumer("dlq.test", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await dead.start()
    async with consumer.running(broker):
        await until(collector.complete)
        letters = [await asyncio.wait_for(dead.getone(), 20) for _ in range(2)]
    await dead.stop()
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    keys = Counter(event.envelope.key for event in collector.seen)
    # The row with a negative id came first, so both of "good" that follow are newer than it: the guard goes by sequence.
    assert keys["bad"] == 0
    assert keys["other"] == 1
    assert all(found == sorted(set(found)) for found in sequences(collector.seen).values())
    assert [letter.key for letter in letters] == [b"bad", b"bad"]
    assert dict(letters[0].headers)["dlq_reason"] == b"ValueError"
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT key, reason, events FROM parked_keys")
        assert row is not None
        assert (row["key"], row["reason"], row["events"]) == ("bad", "ValueError", 2)


def event(sequence: int, key: str) -> Received:
    made = outgoing("t", Beat(), source="/s", key=key).envelope
    return Received(made._replace(sequence=sequence), b"{}", None)


async def test_what_was_guarded_under_its_whole_key_still_is(database_url: str, tmp_path: Path) -> None:
    name, folder = CHASSIS
    for file in sorted(folder.glob("*.sql"))[:4]:
        shutil.copy(file, tmp_path)
    await migrate(database_url, [(name, tmp_path)])
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO repeat_guard VALUES ('c', '/s', 'élève', 7)")
    await migrate(database_url, [CHASSIS])
    batch = [event(7, "élève"), event(8, "élève"), event(1, "eleve")]
    assert await only_new(connection, "c", batch) == batch[1:]
    await connection.close()


@pytest.mark.parametrize("again", [1, 5])
async def test_the_same_batch_again_has_no_effect(database: Database, again: int) -> None:
    batch = [event(1, "a"), event(2, "b"), event(3, "a"), event(3, "a"), event(2, "a")]
    async with database.transaction() as connection:
        assert [e.envelope.sequence for e in await only_new(connection, "c", batch)] == [1, 2, 3]
    for _ in range(again):
        async with database.transaction() as connection:
            assert await only_new(connection, "c", batch) == []
    async with database.transaction() as connection:
        assert len(await only_new(connection, "c", [event(2, "a"), event(4, "a"), event(1, "new")])) == 2
