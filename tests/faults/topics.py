"""What stands in Kafka, and what is put there past all services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from chassis import groups
from chassis.sending import producer
from cli.running_home import RunningHome
from tests.platform import Platform

Places = dict[TopicPartition, int]
Dealt = tuple[str, TopicPartition]
"""A group, and a partition that it reads."""


def bootstrap(platform: Platform) -> str:
    """Kafka's address."""
    return RunningHome.of(platform.home).kafka


async def ends(platform: Platform, topic: str) -> Places:
    """Where a topic ends now."""
    return await groups.ends(bootstrap(platform), [topic])


async def since(platform: Platform, places: Places) -> list[ConsumerRecord]:
    """What a topic has got since it ended there, in order per partition."""
    assert places, "nothing is known of the topic"
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap(platform), enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign(list(places))
        now = await reader.end_offsets(list(places))
        found: list[ConsumerRecord] = []
        for place, start in places.items():
            reader.seek(place, start)
        async with asyncio.timeout(30):
            for place in places:
                while await reader.position(place) < now[place]:
                    for records in (await reader.getmany(timeout_ms=200)).values():
                        found += records
        return found
    finally:
        await reader.stop()


@asynccontextmanager
async def _administering(platform: Platform) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(platform))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def dealt(platform: Platform, *named: str) -> dict[str, set[Dealt]]:
    """The partitions of groups that each process has, by its name, as Kafka deals them out now."""
    found: dict[str, set[Dealt]] = {}
    async with _administering(platform) as admin:
        for group in named:
            # One by one: aiokafka 0.13 can't read an answer about several.
            (response,) = await admin.describe_consumer_groups([group])
            for member, *_, assignment in response.groups[0][-1]:
                has = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
                # Of who is a member under a name of its own, Kafka makes an id of that name and a UUID.
                found.setdefault(member[: -len(f"-{UUID(int=0)}")], set()).update((group, place) for place in has)
    return found


async def committed(platform: Platform, *named: str) -> dict[Dealt, int]:
    """The offsets that groups have committed."""
    async with _administering(platform) as admin:
        return {
            (group, place): of.offset
            for group in named
            for place, of in (await admin.list_consumer_group_offsets(group)).items()
        }


@asynccontextmanager
async def sender(platform: Platform) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of the kind that the relay uses."""
    made = producer(bootstrap(platform))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def send_again(platform: Platform, records: Sequence[ConsumerRecord], times: int) -> None:
    """Put records once more where they stood, so many times over."""
    async with sender(platform) as made:
        for _ in range(times):
            sent = [
                await made.send(r.topic, r.value, r.key, partition=r.partition, headers=list(r.headers))
                for r in records
            ]
            await asyncio.gather(*sent)


async def expire(platform: Platform, topic: str) -> None:
    """Have a topic lose all it holds, as its retention would."""
    before = {place: RecordsToDelete(before_offset=end) for place, end in (await ends(platform, topic)).items() if end}
    async with _administering(platform) as admin:
        await admin.delete_records(before)
