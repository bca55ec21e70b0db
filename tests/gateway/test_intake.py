"""What comes in from Kafka: streams are held before anything is waited for, and go on in the generation that serves."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaProducer

from contracts import generations
from contracts.feed import ItemPut
from contracts.generations import GenerationServes
from infra.local.kafka import Kafka
from services.gateway.stream.tail import Tail
from tests import rosters
from tests.gateway.conftest import Gateway, Start, create_topics
from tests.gateway.streams import stream

SILENCE_SECONDS = 2.0
NEVER_HEARD = "the directory was last heard of 86400 s ago"


async def small_school_at(gateway: Gateway) -> None:
    for document in rosters.small_school():
        await gateway.change(document)


async def test_nothing_goes_out_once_a_change_of_rights_cannot_be_read(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    mother = await gateway.token("mother")
    taken = Tail.taken

    async def slowly(tail: Tail) -> None:
        if tail.topic == gateway.topics.directory:
            await asyncio.sleep(1)
        await taken(tail)

    monkeypatch.setattr(Tail, "taken", slowly)
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        await gateway.publish("zoé", "before")
        assert ItemPut.model_validate_json((await client.next()).data).title.fr == "before"
        await gateway.producer.send_and_wait(gateway.topics.directory, b"no document", b"people/x")
        await gateway.publish("zoé", "after")
        with pytest.raises(TimeoutError):
            await client.next(2)
    assert "cannot be read" in str(gateway.process.health.not_ready())


async def test_who_reads_back_lets_others_have_their_turn(kafka: Kafka, topic: str) -> None:
    """A gateway that begins answers requests while it fills its ring."""
    await create_topics(kafka.bootstrap, topic)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        await asyncio.gather(*[await producer.send(topic, b"item") for _ in range(200)])
    turns, counted = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    tail = Tail(kafka.bootstrap, topic)
    await tail.begin(200)
    meanwhile = asyncio.create_task(others())
    async for _ in tail.batches(10):
        await tail.taken()
        counted.append(turns)
        if tail.caught_up:
            break
    meanwhile.cancel()
    await tail.close()
    assert all(later > earlier for earlier, later in pairwise(counted))


async def announce(gateway: Gateway, number: int, topic: str, sequence: int) -> None:
    event = GenerationServes(generation=number, topic=topic)
    await gateway._send(gateway.topics.generations, generations.KEY, event, generations.SOURCE, sequence)


async def test_a_generation_is_later_by_its_number(gateway: Gateway, kafka: Kafka, topic: str) -> None:
    """A feed whose database was lost counts its announcements from 1 again."""
    mother = await gateway.token("mother")
    names = [f"{topic}-feed-g{number}" for number in (2, 3)]
    await create_topics(kafka.bootstrap, *names)
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        for number, name, sequence in ((2, names[0], 40), (3, names[1], 1)):
            await announce(gateway, number, name, sequence)
            message = await client.next()
            assert (message.name, json.loads(message.data)) == ("reset", {"reason": "other-generation"})
        # Sent again by a relay that died: old news.
        await announce(gateway, 2, names[0], 40)
        with pytest.raises(TimeoutError):
            await client.next(1.5)


async def test_streams_are_held_while_the_directory_is_silent_and_then_go_on(start: Start) -> None:
    gateway = await start(silence_seconds=SILENCE_SECONDS)
    await small_school_at(gateway)
    mother = await gateway.token("mother")
    await gateway.beat()
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        headers = {"Authorization": f"Bearer {mother}"}
        async with asyncio.timeout(10):
            while (await gateway.http.get(f"{gateway.url}/v1/stream", headers=headers)).status != 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "last heard of" in str(gateway.process.health.not_ready())
        await gateway.publish("zoé", "held")
        with pytest.raises(TimeoutError):
            await client.next(1)
        await gateway.beat()
        assert ItemPut.model_validate_json((await client.next()).data).title.fr == "held"


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wrong_clock_of_the_directory_holds_no_stream(start: Start, minutes: int) -> None:
    gateway = await start(silence_seconds=SILENCE_SECONDS)
    await small_school_at(gateway)
    mother = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        until = time.monotonic() + SILENCE_SECONDS + 1
        while time.monotonic() < until:
            await gateway.beat(datetime.now(UTC) + timedelta(minutes=minutes))
            await asyncio.sleep(0.2)
        assert not gateway.process.health.not_ready()
        await gateway.publish("zoé", "sent")
        assert ItemPut.model_validate_json((await client.next(1)).data).title.fr == "sent"


@pytest.mark.parametrize("minutes", [-10, 0, 10])
async def test_a_gateway_that_begins_trusts_no_beat_of_earlier(start: Start, minutes: int) -> None:
    gateway = await start()
    await gateway.beat(datetime.now(UTC) + timedelta(minutes=minutes))
    begun = await start(heard=False)
    async with asyncio.timeout(10):
        while begun.process.health.not_ready().get("directory") != NEVER_HEARD:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    headers = {"Authorization": f"Bearer {await gateway.token('mother')}"}
    assert (await begun.http.get(f"{begun.url}/v1/stream", headers=headers)).status == 503
    await gateway.beat(datetime.now(UTC) + timedelta(minutes=minutes))
    async with asyncio.timeout(5):
        while "directory" in begun.process.health.not_ready():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_gateway_that_begins_trusts_what_its_roster_heard(start: Start) -> None:
    gateway = await start()
    await small_school_at(gateway)
    begun = await start(heard=False)
    async with asyncio.timeout(10):
        while "directory" in begun.process.health.not_ready():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
