"""What a consumer knows of the partitions it holds while other processes come and go."""

from __future__ import annotations

import asyncio

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faststream.kafka.message import KafkaAckableMessage

from chassis.consumer import Consumption, PatientConsumer
from infra.local.kafka import Kafka
from infra.topics import Topic, ensure_topics


def record(partition: int, offset: int, topic: str = "topic") -> ConsumerRecord:
    return ConsumerRecord(topic, partition, offset, 0, 0, b"key", b"{}", None, 3, 2, ())


async def test_records_follow_what_this_process_did_last() -> None:
    consumption = Consumption("follower")
    assert not consumption.follows([record(0, 5)])
    consumption.done([record(0, 5), record(0, 6), record(1, 40)])
    assert consumption.follows([record(0, 7), record(0, 8)])
    assert consumption.follows([record(1, 41), record(0, 7)])
    # Another process went from 7 to 11, or this one is asked to do 6 again.
    assert not consumption.follows([record(1, 41), record(0, 12)])
    assert not consumption.follows([record(0, 6)])
    assert not consumption.follows([record(2, 0)])


async def test_what_another_process_has_now_keeps_nothing_from_being_committed(kafka: Kafka, topic: str) -> None:
    await ensure_topics(kafka.bootstrap, [Topic(topic, "tests")])
    stream = PatientConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=f"group of {topic}",
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        enable_auto_commit=False,
    )
    await stream.start()
    try:
        consumption, mine = Consumption("follower"), record(0, 4, topic)
        consumption.began(KafkaAckableMessage(raw_message=(mine,), body=b"", consumer=stream))
        consumption.done([record(7, 9, "another's"), mine])
        async with asyncio.timeout(10):
            while await stream.committed(TopicPartition(topic, 0)) != 5:  # noqa: ASYNC110 - another task's doing
                await asyncio.sleep(0.02)
    finally:
        await stream.stop()
