"""The beat on a real Kafka."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.directory import BEAT_KEY, Beat
from contracts.envelope import from_headers
from infra.local.kafka import Kafka
from services.directory.beat import beat


async def test_it_beats_again_and_again_without_a_sequence(kafka: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    beating = asyncio.create_task(beat(kafka.bootstrap, 0.05, topic))
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    async with asyncio.timeout(30):
        records = [await consumer.getone() for _ in range(3)]
    await consumer.stop()
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating
    for record in records:
        envelope = from_headers(record.headers, record.key)
        assert (envelope.type, envelope.key, envelope.sequence) == (Beat.TYPE, BEAT_KEY, None)
