"""Places: how far a consumer has come in its topics, kept in the transaction of the effect, and where it begins again.

The offsets that its group commits to Kafka outlive its database: one that is lost, or goes back to a backup, would never
be read up again by them. What a consumer keeps in its database begins where that database says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aiokafka import ConsumerRecord, TopicPartition

from chassis.database import Connection, Database

# Never back: a process that wakes late knows less than the one that went on in its stead.
_ADVANCE = """
    INSERT INTO places AS known (consumer, topic, partition, next)
    SELECT $1, topic, partition, next FROM unnest($2::text[], $3::int[], $4::bigint[]) AS come (topic, partition, next)
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = greatest(known.next, excluded.next)
"""


async def advance(connection: Connection, consumer: str, records: Iterable[ConsumerRecord]) -> None:
    """Remember, in the caller's transaction, that these records and all before them were taken in."""
    reached: dict[tuple[str, int], int] = {}
    for record in records:
        place = (record.topic, record.partition)
        reached[place] = max(record.offset + 1, reached.get(place, 0))
    # In one order by all, so that two processes that share partitions after a rebalance cannot deadlock.
    places = sorted(reached)
    offsets = [reached[place] for place in places]
    await connection.execute(_ADVANCE, consumer, [t for t, _ in places], [p for _, p in places], offsets)


class Places:
    """Where one consumer begins, as its database knows it."""

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    async def of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset each partition goes on from; 0 where the database knows none of its records.

        Raises what the database raises.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT topic, partition, next FROM places WHERE consumer = $1", self._consumer
            )
        known = {TopicPartition(row["topic"], row["partition"]): row["next"] for row in rows}
        return {partition: known.get(partition, 0) for partition in partitions}
