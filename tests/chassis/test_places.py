"""Where a consumer begins: with what its database has not taken in, whatever its group has committed to Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka.message import KafkaMessage

from chassis import consumer, groups
from chassis.consumer import Inbox, Received
from chassis.database import Connection, Database
from chassis.places import Places, WentBack
from chassis.sending import producer
from contracts.envelope import to_headers
from infra.local.kafka import Kafka
from infra.local.postgres import Postgres
from tests.chassis.test_parking import until
from tests.conftest import open_database
from tests.rosters import received
from tests.rosters import school as document


class Effect:
    """What was taken in, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.poison = ""

    async def __call__(self, connection: Connection, events: Sequence[Received]) -> None:
        if any(event.envelope.key == self.poison for event in events):
            raise ValueError("poison")
        self.keys += [event.envelope.key for event in events]

    async def has(self, count: int) -> None:
        async def condition() -> bool:
            return len(self.keys) >= count

        await until(condition)


@asynccontextmanager
async def consuming(
    database: Database, kafka: Kafka, topic: str, effect: Effect, group: str = ""
) -> AsyncIterator[None]:
    inbox = Inbox(database, service="test", consumer="test")
    broker = consumer.broker(kafka.bootstrap)

    @consumer.subscribe(broker, topic, group=group or topic, places=inbox.places)
    async def on_event(message: KafkaMessage) -> None:
        await inbox.receive(message, effect)

    async with consumer.running(broker):
        yield


async def begin(kafka: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def send(kafka: Kafka, topic: str, *keys: str) -> None:
    sender = producer(kafka.bootstrap)
    await sender.start()
    for key in keys:
        event = received(key, document(), source="/test")
        await sender.send_and_wait(topic, event.value, key.encode(), headers=to_headers(event.envelope))
    await sender.stop()


async def committed(kafka: Kafka, topic: str) -> None:
    """Wait until the group has committed all the topic holds."""

    async def condition() -> bool:
        return await groups.behind(kafka.bootstrap, topic, await groups.ends(kafka.bootstrap, [topic])) == 0

    await until(condition)


@pytest.fixture
async def lost(postgres: Postgres) -> AsyncIterator[Database]:
    """The database after it was lost: an empty one."""
    admin = await asyncpg.connect(postgres.url())
    await admin.execute("CREATE DATABASE lost")
    database = await open_database(postgres.url(database="lost"))
    yield database
    await database.close()
    await admin.execute("DROP DATABASE lost WITH (FORCE)")
    await admin.close()


async def test_a_database_that_was_lost_is_read_up_from_the_topic(
    database: Database, lost: Database, kafka: Kafka, topic: str
) -> None:
    await begin(kafka, topic)
    effect, again = Effect(), Effect()
    async with consuming(database, kafka, topic, effect):
        await send(kafka, topic, "a", "b", "c")
        await effect.has(3)
        await committed(kafka, topic)
    await send(kafka, topic, "d")
    async with consuming(lost, kafka, topic, again):
        await again.has(4)
        await send(kafka, topic, "e")
        await again.has(5)
    assert again.keys == ["a", "b", "c", "d", "e"]


async def test_what_a_database_has_taken_in_is_not_read_again(database: Database, kafka: Kafka, topic: str) -> None:
    """Not even what its repeat guard could not know."""
    await begin(kafka, topic)
    effect = Effect()
    async with consuming(database, kafka, topic, effect):
        await send(kafka, topic, "a", "b")
        await effect.has(2)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM repeat_guard")
    other = Effect()
    # A group without offsets, as one is that was away for longer than Kafka keeps them.
    async with consuming(database, kafka, topic, other, group=f"{topic}-again"):
        await send(kafka, topic, "c")
        await other.has(1)
    assert other.keys == ["c"]


async def test_a_parked_event_is_taken_in_too(database: Database, kafka: Kafka, topic: str) -> None:
    await begin(kafka, topic)
    effect = Effect()
    effect.poison = "bad"
    async with consuming(database, kafka, topic, effect):
        await send(kafka, topic, "a", "b", "bad")
        place = TopicPartition(topic, 0)

        async def come() -> bool:
            return (await Places(database, "test").begin([place]))[place] == 3

        await until(come)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT events FROM parked_keys") == 1
    assert effect.keys == ["a", "b"]


def record(offset: int, partition: int = 0) -> ConsumerRecord:
    return SimpleNamespace(topic="t", partition=partition, offset=offset)


async def come(places: Places, database: Database, *records: ConsumerRecord) -> None:
    async with database.transaction() as connection:
        await places.advance(connection, records)
    places.committed(records)


async def test_a_database_that_took_the_place_of_another_takes_nothing_in_from_the_middle(database: Database) -> None:
    """A process may hold a batch, or live, while its database is lost and made anew, or goes back to a backup."""
    places = Places(database, "test")
    assert await places.begin([TopicPartition("t", 0), TopicPartition("t", 1)]) == {
        TopicPartition("t", 0): 0,
        TopicPartition("t", 1): 0,
    }
    await come(places, database, record(4), record(7), record(3, 1))
    async with database.transaction() as connection:
        await connection.execute("UPDATE places SET next = 5 WHERE partition = 0")
    with pytest.raises(WentBack):
        await come(places, database, record(8))
    await come(places, database, record(4, 1))
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM places")
    for partition in (0, 1):
        with pytest.raises(WentBack):
            await come(places, database, record(9, partition))
    assert set((await places.begin([TopicPartition("t", 0)])).values()) == {0}
    await come(places, database, record(0))


async def test_who_wakes_late_moves_no_place_back(database: Database) -> None:
    late, other = Places(database, "test"), Places(database, "test")
    place = TopicPartition("t", 0)
    await late.begin([place])
    await other.begin([place])
    await come(other, database, record(9))
    await come(late, database, record(2))
    assert (await other.begin([place]))[place] == 10


async def test_what_was_rolled_back_was_not_come_to(database: Database) -> None:
    places = Places(database, "test")
    await places.begin([TopicPartition("t", 0)])

    async def fail() -> None:
        async with database.transaction() as connection:
            await places.advance(connection, [record(5)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await come(places, database, record(2))
