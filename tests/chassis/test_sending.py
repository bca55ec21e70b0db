"""Records packed per partition reach Kafka whole and in order per key, however they fall into batches."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from chassis.sending import Ready, partition, producer, send
from infra.local.kafka import Kafka
from tests.chassis.test_outbox_relay_consumer import create_topics

COUNT = 3_000
LARGE = b"x" * 300_000
"""More than a batch takes beside others."""


def records(topic: str) -> list[Ready]:
    """Several batches' worth for each partition, a large one among them, a tombstone at the end."""
    made = [Ready(topic, b"k%d" % (n % 7), b"%d" % n + b" " * 500, [("n", b"%d" % n)]) for n in range(COUNT)]
    made.insert(COUNT // 2, Ready(topic, b"k0", LARGE, [("n", b"%d" % COUNT)]))
    return [*made, Ready(topic, b"k1", None, [("n", b"%d" % (COUNT + 1))])]


async def test_all_arrive_in_order_per_key(kafka: Kafka, topic: str) -> None:
    other = f"{topic}-other"
    await create_topics(kafka.bootstrap, topic, other)
    wanted = [*records(topic), *records(other)]
    reader = AIOKafkaConsumer(topic, other, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    sender = producer(kafka.bootstrap)
    await sender.start()
    await reader.start()
    await asyncio.wait_for(send(sender, wanted), 30)
    found = [await asyncio.wait_for(reader.getone(), 20) for _ in wanted]
    await reader.stop()
    await sender.stop()
    assert by_key([Ready(one.topic, one.key, one.value, list(one.headers)) for one in found]) == by_key(wanted)


def by_key(sent: list[Ready]) -> dict[tuple[str, bytes], list[Ready]]:
    found = defaultdict(list)
    for record in sent:
        found[record.topic, record.key].append(record)
    return found


@given(st.binary(min_size=1), st.integers(1, 50))
def test_a_key_goes_where_every_client_of_kafka_sends_it(key: bytes, partitions: int) -> None:
    everything = list(range(partitions))
    assert partition(key, everything) == DefaultPartitioner()(key, everything, everything)
