"""A feed database that was lost or is an older one takes up the generation that was announced last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.database import Database
from chassis.identity import Caller
from chassis.outbox import decode_headers, outgoing
from chassis.problems import Problem
from chassis.sending import producer
from contracts import generations
from contracts.envelope import from_headers, to_headers
from contracts.feed import topic_of
from contracts.generations import GenerationServes
from infra.local.kafka import Kafka
from services.feed import lineage, store, usecases
from services.feed.app import MIGRATIONS
from services.feed.rebuild import Rebuild
from tests.conftest import open_database

OPERATOR = Caller(operator="tester")


@pytest.fixture
async def history(database_url: str) -> AsyncIterator[Database]:
    """A database that has just been made."""
    database = await open_database(database_url, MIGRATIONS)
    yield database
    await database.close()


async def announce(kafka: Kafka, topic: str, *numbers: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    sender = producer(kafka.bootstrap)
    await sender.start()
    await sender.send_and_wait(topic, b"{}", b"serving", headers=[("none", b"of ours")])
    for number in numbers:
        event = GenerationServes(generation=number, topic=topic_of(number))
        made = outgoing(topic, event, source=generations.SOURCE, key=generations.KEY)
        await sender.send_and_wait(topic, made.value, b"serving", headers=to_headers(made.envelope))
    await sender.stop()


async def owed(database: Database) -> list[int]:
    """The generations that the outbox says serve."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT headers, value FROM outbox ORDER BY id")
    assert all(from_headers(decode_headers(row["headers"]), b"serving").type == GenerationServes.TYPE for row in rows)
    return [GenerationServes.model_validate_json(row["value"]).generation for row in rows]


async def known(database: Database) -> list[tuple[int, str]]:
    async with database.connection() as connection:
        return [(one.generation, one.state) for one in await store.generations(connection)]


async def test_an_empty_database_goes_on_with_the_generation_announced_last(
    history: Database, kafka: Kafka, topic: str
) -> None:
    await announce(kafka, topic, 1, 2, 3)
    for _ in range(2):
        await lineage.take_up(history, kafka.bootstrap, topic)
        assert (3, "serving") in await known(history)
        # The next rebuild is above all that was announced, so that no gateway takes it for an old one.
        assert (await known(history))[-1] == (3, "serving")
    assert await owed(history) == [3, 3]


async def test_nobody_builds_one_before_it_is_known_which_was_announced_last(
    history: Database, kafka: Kafka, topic: str
) -> None:
    rebuild = Rebuild(history, kafka.bootstrap)
    for ask in (rebuild.standing, partial(rebuild.begin, OPERATOR, 2), partial(rebuild.switch, OPERATOR, 1)):
        with pytest.raises(Problem) as refused:
            await ask()
        assert refused.value.status == 503
    await announce(kafka, topic, 1)
    await lineage.take_up(history, kafka.bootstrap, topic)
    assert [one.generation.generation for one in await rebuild.standing()] == [1]


async def test_nobody_reads_one_before_it_is_known_which_was_announced_last(
    history: Database, kafka: Kafka, topic: str
) -> None:
    async with history.connection() as connection:
        with pytest.raises(Problem) as refused:
            await usecases.serving(connection)
    assert refused.value.status == 503
    await announce(kafka, topic, 2)
    await lineage.take_up(history, kafka.bootstrap, topic)
    async with history.connection() as connection:
        assert (await usecases.serving(connection)).generation == 2


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2)])
async def test_a_database_that_knows_better_stays_as_it_is(
    history: Database, kafka: Kafka, topic: str, numbers: tuple[int, ...]
) -> None:
    await announce(kafka, topic, *numbers)
    async with history.transaction() as connection:
        await store.begin(connection, 2)
        await store.retire(connection, 1)
        await store.serve(connection, 2)
        await store.begin(connection, 3)
    await lineage.take_up(history, kafka.bootstrap, topic)
    assert await known(history) == [(1, "retired"), (2, "serving"), (3, "building")]
    assert await owed(history) == [2]
