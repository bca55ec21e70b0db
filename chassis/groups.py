"""Consumer groups seen from outside: where one begins, and how far it is behind its topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

_SECONDS = 5_000


@asynccontextmanager
async def _asking(
    bootstrap: str, group: str | None = None
) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_SECONDS)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, request_timeout_ms=_SECONDS
    )
    try:
        await asyncio.gather(admin.start(), reader.start())
        yield admin, reader
    finally:
        await reader.stop()
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    existing = set(await admin.list_topics())
    wanted = [topic for topic in topics if topic in existing]
    described = await admin.describe_topics(wanted) if wanted else []
    return [TopicPartition(one["topic"], part["partition"]) for one in described for part in one["partitions"]]


async def partitions(bootstrap: str, topic: str) -> int:
    """How many partitions a topic has; 0 where there is none of that name."""
    async with _asking(bootstrap) as (admin, _):
        return len(await _partitions(admin, [topic]))


async def begin_at_end(bootstrap: str, group: str, topics: Sequence[str]) -> None:
    """Have a group that has no members yet begin at what is written from now on."""
    async with _asking(bootstrap, group) as (admin, reader):
        places = await _partitions(admin, topics)
        reader.assign(places)
        await reader.commit(await reader.end_offsets(places))


async def ends(bootstrap: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """Where topics end now: the offset after the last record of each partition."""
    async with _asking(bootstrap) as (admin, reader):
        found: dict[TopicPartition, int] = await reader.end_offsets(await _partitions(admin, topics))
        return found


async def behind(bootstrap: str, group: str, to: dict[TopicPartition, int]) -> int:
    """How many records before these places a group has not committed yet."""
    if not to:
        return 0
    async with _asking(bootstrap) as (admin, reader):
        committed = await admin.list_consumer_group_offsets(group, partitions=list(to))
        begins = await reader.beginning_offsets(list(to))
    # Where a group has committed nothing it begins with what the topic still holds.
    done = {p: max(committed[p].offset if p in committed else -1, begins[p]) for p in to}
    return sum(max(0, end - done[p]) for p, end in to.items())
