"""Parked keys replayed and discarded, on real servers: in order, each effect once, newer events behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka.message import KafkaMessage

from chassis import consumer, dead_letters, outbox
from chassis.consumer import Inbox, Received
from chassis.database import Connection, Database
from chassis.dead_letters import NotReleased, ParkedKey
from chassis.forwarding import Forwarder
from chassis.outbox import lock_keys, outgoing
from chassis.relay import Relay
from chassis.sending import Ready
from contracts.directory import Beat
from contracts.envelope import from_headers
from infra.local.kafka import Kafka


async def create_topics(bootstrap: str, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    await admin.close()


async def write(database: Database, topic: str, *keys: str) -> list[int]:
    async with database.transaction() as connection:
        await lock_keys(connection, keys)
        return await outbox.append(connection, [outgoing(topic, Beat(), source="/test", key=key) for key in keys])


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in servers
            await asyncio.sleep(0.05)


async def parked(database: Database) -> list[ParkedKey]:
    async with database.connection() as connection:
        return await dead_letters.parked(connection)


def parks(database: Database, events: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return sum(key.events for key in await parked(database)) == events

    return condition


async def replay(database: Database, kafka: Kafka, topic: str, patience: float = 30) -> int:
    (key,) = await parked(database)
    connection = await asyncpg.connect(database.settings.url())
    try:
        return await dead_letters.replay(connection, kafka.bootstrap, topic, key, patience=patience)
    finally:
        await connection.close()


class Effect:
    """An effect that refuses a key until it is mended."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None]] = []
        self.broken = True

    async def __call__(self, connection: Connection, events: Sequence[Received]) -> None:
        for event in events:
            self.refuse(event)
        self.seen += [(event.envelope.key, event.envelope.sequence) for event in events]

    def refuse(self, event: Received) -> None:
        if self.broken and event.envelope.key == "bad":
            raise ValueError("poison")

    def of(self, key: str) -> list[int | None]:
        return [sequence for name, sequence in self.seen if name == key]

    def has(self, key: str, events: int) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return len(self.of(key)) >= events

        return condition


@asynccontextmanager
async def relaying(database: Database, kafka: Kafka) -> AsyncIterator[None]:
    task = asyncio.create_task(Relay("test", database.settings.url(), kafka.bootstrap).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def writing(database: Database, topic: str, written: list[int]) -> AsyncIterator[None]:
    """Within the block, and some events longer, events of the key are written at a steady pace."""
    stopping = asyncio.Event()

    async def keep_writing() -> None:
        more = 5
        while more:
            written.extend(await write(database, topic, "bad"))
            more -= stopping.is_set()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(keep_writing())
    try:
        yield
    finally:
        stopping.set()
        await task


@asynccontextmanager
async def consuming(database: Database, kafka: Kafka, topic: str, effect: Effect) -> AsyncIterator[None]:
    inbox = Inbox(database, service=topic, consumer="test")
    broker = consumer.broker(kafka.bootstrap)

    @consumer.subscribe(broker, topic, group=topic)
    async def on_event(message: KafkaMessage) -> None:
        await inbox.receive(message, effect)

    async with relaying(database, kafka), consumer.running(broker):
        yield


async def test_a_replayed_key_takes_up_where_it_stopped(database: Database, kafka: Kafka, topic: str) -> None:
    await create_topics(kafka.bootstrap, topic, f"dlq.{topic}")
    effect = Effect()
    async with consuming(database, kafka, topic, effect):
        first = [await write(database, topic, "bad", "good") for _ in range(5)]
        await until(parks(database, 5))
        effect.broken = False
        written = [pair[0] for pair in first]
        async with writing(database, topic, written):
            assert await replay(database, kafka, topic) >= 5
        await until(effect.has("bad", len(written)))
        assert effect.of("bad") == written
        assert len(effect.of("good")) == 5
        assert await parked(database) == []


async def test_a_key_that_is_still_poison_is_parked_again_and_can_be_discarded(
    database: Database, kafka: Kafka, topic: str
) -> None:
    await create_topics(kafka.bootstrap, topic, f"dlq.{topic}")
    effect = Effect()
    async with consuming(database, kafka, topic, effect):
        for _ in range(3):
            await write(database, topic, "bad")
        await until(parks(database, 3))
        for _ in range(2):
            await replay(database, kafka, topic)
            await until(parks(database, 3))
        (key,) = await parked(database)
        async with database.connection() as connection:
            letters = await dead_letters.letters_of(connection, kafka.bootstrap, topic, key)
        assert [letter.reason for letter in letters] == ["ValueError", *["follows a parked event"] * 2]
        assert not any(name.startswith("dlq_") for letter in letters for name, _ in letter.headers)
        async with database.connection() as connection:
            assert await dead_letters.discard(connection, key)
        effect.broken = False
        kept = await write(database, topic, "bad")
        await until(effect.has("bad", 1))
        assert effect.of("bad") == kept


async def parked_then_away(database: Database, kafka: Kafka, topic: str, effect: Effect, more: int) -> list[int]:
    """A key whose consumer parked its first event and was gone when more came; returns what was written."""
    await create_topics(kafka.bootstrap, topic, f"dlq.{topic}")
    async with consuming(database, kafka, topic, effect):
        written = await write(database, topic, "bad")
        await until(parks(database, 1))
    effect.broken = False
    async with relaying(database, kafka):
        written += await write(database, topic, *["bad"] * more)

        async def sent() -> bool:
            async with database.connection() as connection:
                return not await connection.fetchval("SELECT count(*) FROM outbox")

        await until(sent)
    return written


async def test_what_the_consumer_has_not_come_to_is_put_back_too(database: Database, kafka: Kafka, topic: str) -> None:
    effect = Effect()
    written = await parked_then_away(database, kafka, topic, effect, more=3)
    assert await replay(database, kafka, topic) == 1
    async with consuming(database, kafka, topic, effect):
        await until(effect.has("bad", 4))
        assert effect.of("bad") == written
        written += await write(database, topic, "bad")
        await until(effect.has("bad", 5))
    assert effect.of("bad") == written
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM passed_over") == 0


async def test_a_consumer_far_behind_keeps_the_key_parked(database: Database, kafka: Kafka, topic: str) -> None:
    effect = Effect()
    written = await parked_then_away(database, kafka, topic, effect, more=150)
    with pytest.raises(NotReleased):
        await replay(database, kafka, topic, patience=1)
    async with consuming(database, kafka, topic, effect):
        await replay(database, kafka, topic)
        await until(effect.has("bad", len(written)))
    assert effect.of("bad") == written


async def test_a_lost_dead_letter_keeps_the_key_parked(database: Database, kafka: Kafka, topic: str) -> None:
    await create_topics(kafka.bootstrap, topic, f"dlq.{topic}")
    async with consuming(database, kafka, topic, Effect()):
        await write(database, topic, "bad")
        await until(parks(database, 1))
        async with database.transaction() as connection:
            await connection.execute("UPDATE parked_keys SET events = 2")
        with pytest.raises(NotReleased):
            await replay(database, kafka, topic)
    assert len(await parked(database)) == 1


async def test_a_forwarded_key_is_replayed_in_order(database: Database, kafka: Kafka, topic: str) -> None:
    onward = f"{topic}-onward"
    await create_topics(kafka.bootstrap, topic, onward, f"dlq.{topic}")
    effect = Effect()

    def turn(event: Received) -> Ready | None:
        effect.refuse(event)
        return Ready(onward, event.record.key, event.value, list(event.record.headers))

    forwarder = Forwarder(database, kafka.bootstrap, service=topic, consumer="test", turn=turn)
    broker = consumer.broker(kafka.bootstrap)

    @consumer.subscribe(broker, topic, group=topic)
    async def on_event(message: KafkaMessage) -> None:
        await forwarder.receive(message)

    reader = AIOKafkaConsumer(onward, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await reader.start()
    async with relaying(database, kafka), consumer.running(broker):
        written = [sequence for _ in range(4) for sequence in await write(database, topic, "bad")]
        await until(parks(database, 4))
        effect.broken = False
        async with writing(database, topic, written):
            await replay(database, kafka, topic)
        seen: list[int | None] = []
        while len(seen) < len(written):
            record = await asyncio.wait_for(reader.getone(), 20)
            seen.append(from_headers(record.headers, record.key).sequence)
    await reader.stop()
    await forwarder.stop()
    assert seen == written
    assert await parked(database) == []
