"""Places: how far a consumer has come in its topics, kept in the transaction of the effect, and where it begins again.

The offsets that its group commits to Kafka outlive its database: one that is lost, or goes back to a backup, would never
be read up again by them. What a consumer keeps in its database begins where that database says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter

from aiokafka import ConsumerRecord, TopicPartition

from chassis.database import Connection, Database

_BEGIN = """
    INSERT INTO places AS known (consumer, topic, partition, next)
    SELECT $1, topic, partition, 0 FROM unnest($2::text[], $3::int[]) AS dealt (topic, partition)
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = known.next
    RETURNING topic, partition, next
"""
# Never back: a process that wakes late knows less than the one that went on in its stead.
_ADVANCE = """
    INSERT INTO places AS known (consumer, topic, partition, next)
    SELECT $1, topic, partition, next FROM unnest($2::text[], $3::int[], $4::bigint[]) AS come (topic, partition, next)
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = greatest(known.next, excluded.next)
    RETURNING topic, partition, old.next AS before
"""


class WentBack(Exception):
    """The database is not as far as this process has seen it: another took its place, so all has to be placed anew."""


class Places:
    """Where one consumer is, as its database knows it; until `begin` nothing is kept."""

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer
        self._come: dict[TopicPartition, int] = {}

    async def begin(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset each partition goes on from; 0 where the database knows none of its records.

        Raises what the database raises.
        """
        dealt = sorted(partitions)
        topics, numbers = [place.topic for place in dealt], [place.partition for place in dealt]
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_BEGIN, self._consumer, topics, numbers)
        self._come = {TopicPartition(row["topic"], row["partition"]): row["next"] for row in rows}
        return dict(self._come)

    async def advance(self, connection: Connection, records: Sequence[ConsumerRecord]) -> None:
        """Remember, in the caller's transaction, that these records and all before them were taken in.

        Raises `WentBack` where this is not the database that said where to begin: what lies before was not taken in.
        """
        if not self._come:
            return
        # In one order by all, so that two processes that share partitions after a rebalance cannot deadlock.
        come_to = sorted(reached(records).items())
        topics, numbers = [place.topic for place, _ in come_to], [place.partition for place, _ in come_to]
        offsets = [offset for _, offset in come_to]
        for row in await connection.fetch(_ADVANCE, self._consumer, topics, numbers, offsets):
            come = self._come.get(TopicPartition(row["topic"], row["partition"]), 0)
            if row["before"] is None or row["before"] < come:
                raise WentBack(f"{self._consumer} was at {come} of {row['topic']}, its database is at {row['before']}")

    def committed(self, records: Sequence[ConsumerRecord]) -> None:
        """The transaction that took these records in has ended well."""
        for place, offset in reached(records).items():
            if place in self._come:
                self._come[place] = max(offset, self._come[place])


def begun(records: Sequence[ConsumerRecord]) -> dict[TopicPartition, int]:
    """Where records begin: the offset of the first of each partition."""
    found: dict[TopicPartition, int] = {}
    for (topic, partition), of_one in groupby(records, key=_partition):
        found.setdefault(TopicPartition(topic, partition), next(of_one).offset)
    return found


def reached(records: Sequence[ConsumerRecord]) -> dict[TopicPartition, int]:
    """How far records bring a consumer: the offset behind the last of each partition."""
    found: dict[TopicPartition, int] = {}
    for (topic, partition), of_one in groupby(records, key=_partition):
        place = TopicPartition(topic, partition)
        found[place] = max(max(map(_offset, of_one)) + 1, found.get(place, 0))
    return found


_partition = attrgetter("topic", "partition")
_offset = attrgetter("offset")
