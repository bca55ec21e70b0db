"""Sending to Kafka: many records at once, packed per partition, each acknowledged by all replicas, in order per key.

aiokafka's `send` costs a future and a look at the topic's partitions for each record; a batch packed here costs them once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from contracts.envelope import Header


class Ready(NamedTuple):
    """A record ready to be sent; a value of None is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[Header]


def producer(bootstrap: str) -> AIOKafkaProducer:
    """A producer that keeps order and loses nothing: idempotent, acknowledged by all replicas in sync."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=128 * 1024,
        max_request_size=2 * 1024 * 1024,
        request_timeout_ms=20_000,
        retry_backoff_ms=50,
        partitioner=partition,
        metadata_max_age_ms=30_000,
    )


@lru_cache(maxsize=200_000)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


def partition(key: bytes | None, everything: Sequence[int], _: Sequence[int] = ()) -> int:
    """Kafka's own partitioner with its hash remembered per key: in pure Python it costs more than the send."""
    return everything[_hash(key or b"") % len(everything)] if len(everything) > 1 else everything[0]


async def send(sender: AIOKafkaProducer, records: Iterable[Ready]) -> None:
    """Send these and await all acknowledgements; on an exception any of them may have been sent."""
    partitions: dict[str, list[int]] = {}
    packed: dict[tuple[str, int], list[BatchBuilder]] = {}
    for record in records:
        if record.topic not in partitions:
            partitions[record.topic] = sorted(await sender.partitions_for(record.topic))
        place = (record.topic, partition(record.key, partitions[record.topic]))
        batches = packed.get(place)
        if batches is None:
            batches = packed[place] = [sender.create_batch()]
        if not _fits(batches[-1], record):
            batches.append(sender.create_batch())
            _fits(batches[-1], record)
    await asyncio.gather(*(_in_order(sender, place, batches) for place, batches in packed.items()))


def _fits(batch: BatchBuilder, record: Ready) -> bool:
    """Append a record unless the batch is full; an empty one takes any."""
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is not None


async def _in_order(sender: AIOKafkaProducer, place: tuple[str, int], batches: Sequence[BatchBuilder]) -> None:
    topic, number = place
    await asyncio.gather(*[await sender.send_batch(batch, topic, partition=number) for batch in batches])
