"""Every topic of Préau: who owns it, how many partitions it has, and how long it keeps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

DAY = 24 * 60 * 60 * 1000
RETENTION = {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}
# What is erased must be gone within two days: a tombstone works once its segment is closed and cleaned.
COMPACTION = {
    "cleanup.policy": "compact",
    "max.compaction.lag.ms": str(DAY),
    "segment.ms": str(DAY),
    "delete.retention.ms": str(DAY),
}
EXISTS = 36
START_LIMIT = 30.0


@dataclass(frozen=True)
class Topic:
    """One topic as it is declared."""

    name: str
    owner: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=lambda: RETENTION)
    generations: bool = False
    """Whether a rebuild puts `<name>-g<n>` in its place."""

    def standing(self, existing: Iterable[str]) -> list[str]:
        """Which of the topics that exist are this one: itself, or its generations."""
        pattern = re.compile(re.escape(self.name) + (r"(-g\d+)?" if self.generations else ""))
        return sorted((name for name in existing if pattern.fullmatch(name)), key=lambda name: (len(name), name))


@dataclass(frozen=True)
class Replication:
    """How many brokers keep a record, and how many of them a write waits for."""

    factor: int
    in_sync: int


EMBEDDED = Replication(factor=1, in_sync=1)
PRODUCTION = Replication(factor=3, in_sync=2)

TOPICS = (
    Topic("directory", "directory", config=COMPACTION),
    Topic("grades", "grades", partitions=12),
    # One partition: its offset is the total order of the stream.
    Topic("feed", "feed", generations=True),
    Topic("feed-generations", "feed", config=COMPACTION),
    Topic("dlq.directory", "directory"),
    Topic("dlq.grades", "grades"),
    Topic("dlq.feed", "feed"),
    Topic("dlq.notify", "notify"),
    Topic("dlq.gateway", "gateway"),
)


def as_they_stand(declared: Iterable[Topic], existing: Iterable[str]) -> list[Topic]:
    """The topics declared, one of generations once for each that exists; a missing one under its own name."""
    there = list(existing)
    return [replace(topic, name=name) for topic in declared for name in topic.standing(there) or [topic.name]]


class TopicsFailed(Exception):
    """A topic could not be made, or stands in Kafka otherwise than declared."""


async def fitting_replication(bootstrap: str) -> Replication:
    """As many copies as production wants, where there are brokers enough to hold them."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=20_000)
    await admin.start()
    try:
        brokers = len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
    return PRODUCTION if brokers >= PRODUCTION.factor else EMBEDDED


async def ensure_topics(
    bootstrap: str, topics: Iterable[Topic] = TOPICS, replication: Replication = EMBEDDED
) -> list[str]:
    """Make the topics that are missing, wait until all have leaders, and name those made."""
    wanted = list(topics)
    admin, existing = await _administrator(bootstrap)
    try:
        made = await _create(admin, wanted, existing, replication)
        await _wait_for_leaders(admin, as_they_stand(wanted, [*await admin.list_topics(), *made]))
    finally:
        await admin.close()
    return made


async def _administrator(bootstrap: str) -> tuple[AIOKafkaAdminClient, set[str]]:
    """A client, and the topics there are, of a broker that knows of itself: one that has just started does not at once."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import NodeNotReadyError

    deadline = time.monotonic() + START_LIMIT
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=20_000)
        try:
            await admin.start()
            existing = set(await admin.list_topics())
        except NodeNotReadyError:
            await admin.close()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        except BaseException:
            await admin.close()
            raise
        else:
            return admin, existing


async def _create(
    admin: AIOKafkaAdminClient, topics: list[Topic], existing: set[str], replication: Replication
) -> list[str]:
    from aiokafka.admin import NewTopic

    extra = {"min.insync.replicas": str(replication.in_sync)}
    missing = [topic for topic in topics if not topic.standing(existing)]
    if not missing:
        return []
    orders = [NewTopic(t.name, t.partitions, replication.factor, topic_configs={**t.config, **extra}) for t in missing]
    answer = await admin.create_topics(orders)
    for name, code, message in answer.topic_errors:
        # Another process may make the same topic at the same moment.
        if code not in (0, EXISTS):
            raise TopicsFailed(f"topic {name} could not be made: {message} (error {code})")
    return [topic.name for topic in missing]


async def _wait_for_leaders(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while waiting := await _without_leaders(admin, topics):
        if time.monotonic() > deadline:
            raise TopicsFailed(f"no leader after {START_LIMIT:.0f} s for: {', '.join(waiting)}")
        await asyncio.sleep(0.05)


async def _without_leaders(admin: AIOKafkaAdminClient, topics: list[Topic]) -> list[str]:
    described = {entry["topic"]: entry for entry in await admin.describe_topics([topic.name for topic in topics])}
    waiting = []
    for topic in topics:
        entry = described.get(topic.name, {"error_code": -1, "partitions": []})
        partitions = entry["partitions"]
        if entry["error_code"] or any(part["error_code"] or part["leader"] < 0 for part in partitions):
            waiting.append(topic.name)
        elif len(partitions) != topic.partitions:
            # More partitions would move keys and break their order; that is an operator's decision.
            raise TopicsFailed(f"topic {topic.name} has {len(partitions)} partitions, not {topic.partitions}")
    return waiting
