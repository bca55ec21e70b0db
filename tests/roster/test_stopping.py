"""A replica that can't take a change in stops, and every process of the service knows; nothing is parked or answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from chassis.consumer import Received
from chassis.database import Connection, Database
from chassis.health import Health
from chassis.problems import Problem
from contracts.directory import TOPIC
from contracts.envelope import to_headers
from roster import store
from roster.replica import Roster
from roster.store import Standing
from tests.rosters import key_of, link, pupil, received, uid

PLACE = TopicPartition(TOPIC, 0)
Headers = list[tuple[str, bytes]]


class Topic:
    """The directory's partition and a consumer of it, as far as a replica looks at it."""

    polled = 0.0
    stopped = False

    def __init__(self) -> None:
        self.end = 0

    def add(self, event: Received, headers: Headers | None = None) -> ConsumerRecord:
        """The event as the topic's next record."""
        told = tuple(to_headers(event.envelope) if headers is None else headers)
        key = event.envelope.key.encode()
        record = ConsumerRecord(
            TOPIC, 0, self.end, 0, 0, key, event.value, None, len(key), len(event.value or b""), told
        )
        self.end += 1
        return record

    def message(self, *records: ConsumerRecord) -> Any:
        """A batch as the broker gives it."""
        return SimpleNamespace(raw_message=records, consumer=self)

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    def highwater(self, _: TopicPartition) -> int:
        return self.end

    async def end_offsets(self, _: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {PLACE: self.end}

    async def commit(self, _: dict[TopicPartition, int]) -> None:
        pass


async def standing(database: Database) -> Standing:
    async with database.connection() as connection:
        return await store.standing(connection)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await reached():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def at_work(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def mothers_link() -> Received:
    document = pupil("zoé", [link("mother")])
    return received(key_of(document), document)


def no_link() -> Received:
    document = pupil("zoé", [])
    return received(key_of(document), document)


async def test_an_envelope_that_cannot_be_decoded_stops_the_replica_for_every_process(database: Database) -> None:
    topic, roster, beside = Topic(), Roster(database, "grades"), Roster(database, "grades")
    await roster.receive(topic.message(topic.add(mothers_link())))
    health = Health()
    health.started = True
    beside.watch(health)
    broken = topic.add(no_link(), [("ce_id", b"e")])
    async with at_work(roster.receive(topic.message(broken)), beside.measure(0.02)):
        await until(lambda: _is_stopped(database))
        assert (await standing(database)).stopped_by == "stopped by event directory/0/1: envelope"
        await until(lambda: _says(health, "stopped by event directory/0/1: envelope"))
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM parked_keys") == 0
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
            with pytest.raises(Problem, match="unavailable") as refused:
                await store.read_scopes(connection, uid("mother"))
    assert refused.value.status == 503


async def _is_stopped(database: Database) -> bool:
    return (await standing(database)).stopped_by is not None


async def _says(health: Health, text: str) -> bool:
    return health.not_ready().get("roster") == text


async def test_a_change_that_cannot_be_taken_in_is_told_once_it_has_failed_alone(database: Database) -> None:
    attempts, mended = 0, asyncio.Event()

    async def beside(_: Connection, __: Sequence[Received]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 2:
            raise ValueError
        # Whoever asks meanwhile asks after one failure in a batch and one alone.
        await mended.wait()

    topic, roster = Topic(), Roster(database, "grades", beside)
    work = asyncio.ensure_future(roster.receive(topic.message(topic.add(mothers_link()))))
    async with at_work(work):
        await until(lambda: _is_stopped(database))
        mended.set()
        await work
    assert (await standing(database)).stopped_by is None
    async with database.connection() as connection:
        assert (await store.read_scopes(connection, uid("mother"))).by_key


async def test_what_stood_in_the_topic_when_it_began_is_not_heard_now(database: Database) -> None:
    topic, roster = Topic(), Roster(database, "grades")
    await roster.receive(topic.message(topic.add(mothers_link())))
    assert (await standing(database)).doubt(60) == "the directory was last heard of 86400 s ago"
    await roster.receive(topic.message(topic.add(no_link())))
    assert (await standing(database)).doubt(60) is None


async def test_what_is_read_behind_the_topics_end_is_not_heard_now(database: Database) -> None:
    topic, roster = Topic(), Roster(database, "grades")
    await roster.receive(topic.message(topic.add(mothers_link())))
    first, _ = topic.add(no_link()), topic.add(mothers_link())
    await roster.receive(topic.message(first))
    assert (await standing(database)).doubt(60) is not None
