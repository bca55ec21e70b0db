"""The floors of a grade's stages, each bare and alone: outbox's bytes to Kafka, one topic to another, a topic to a table.

`python -m bench.floors.pipeline ROLE TOPIC…` with the settings in the environment; says on its standard output in how many
seconds it was done. `send TO` sends 500 at a time and then awaits all acknowledgements; `hop FROM TO` does so with what it
reads; `keep FROM` commits what it reads, a thousand rows at a time, to a table with the history's indexes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from bench.backlog import records
from chassis.outbox import decode_headers
from chassis.sending import partition, producer

_SENT_AT_ONCE = 500
_KEPT_AT_ONCE = 1000
_SCHEMA = """
    DROP TABLE IF EXISTS floor_items;
    CREATE TABLE floor_items (
        id uuid PRIMARY KEY, scope text NOT NULL, uai text NOT NULL, category text NOT NULL,
        published_at timestamptz NOT NULL, position bigint NOT NULL, removed boolean NOT NULL, body bytea NOT NULL
    );
    CREATE INDEX ON floor_items (scope, published_at DESC, id DESC) WHERE NOT removed;
    CREATE INDEX ON floor_items (scope, position);
"""
_KEEP = """
    INSERT INTO floor_items (id, scope, uai, category, published_at, position, removed, body)
    SELECT id, scope, '0921234S', 'grades', $4, position, false, body
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $5::bytea[]) AS new (id, scope, position, body)
    ON CONFLICT (id) DO UPDATE SET position = excluded.position, body = excluded.body
"""


async def send(count: int, to: str) -> float:
    """Send the bytes of so many grades."""
    connection = await asyncpg.connect(os.environ["FLOOR_DATABASE"])
    rows = [(key, decode_headers(text), value) for key, text, value in await records(connection, count, to)]
    await connection.close()
    # What a relay that runs remembers of each key, the floor remembers too.
    for key in {key for key, _, _ in rows}:
        partition(key, [0], [0])
    async with _producer() as sender:
        began = time.perf_counter()
        for start in range(0, count, _SENT_AT_ONCE):
            chunk = rows[start : start + _SENT_AT_ONCE]
            await asyncio.gather(*[await sender.send(to, value, key, headers=headers) for key, headers, value in chunk])
        return time.perf_counter() - began


async def hop(count: int, source: str, to: str) -> float:
    """Pass so many records from one topic to another."""
    async with _producer() as sender, _reader(source) as reader:
        began = time.perf_counter()
        async for found in _batches(reader, count, _SENT_AT_ONCE):
            await asyncio.gather(*[await sender.send(to, r.value, r.key, headers=list(r.headers)) for r in found])
        return time.perf_counter() - began


async def keep(count: int, source: str) -> float:
    """Commit so many records to a table."""
    connection = await asyncpg.connect(os.environ["FLOOR_DATABASE"])
    await connection.execute(_SCHEMA)
    now = datetime.now(UTC)
    async with _reader(source) as reader:
        began = time.perf_counter()
        async for found in _batches(reader, count, _KEPT_AT_ONCE):
            ids = [UUID(next(value for name, value in r.headers if name == "ce_id").decode()) for r in found]
            scopes, places = [r.key.decode() for r in found], [r.offset for r in found]
            await connection.execute(_KEEP, ids, scopes, places, now, [r.value for r in found])
        elapsed = time.perf_counter() - began
    await connection.execute("DROP TABLE floor_items")
    await connection.close()
    return elapsed


@asynccontextmanager
async def _producer() -> AsyncIterator[AIOKafkaProducer]:
    sender = producer(os.environ["FLOOR_KAFKA"])
    await sender.start()
    yield sender
    await sender.stop()


@asynccontextmanager
async def _reader(topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=os.environ["FLOOR_KAFKA"], enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await reader.start()
    yield reader
    await reader.stop()


async def _batches(reader: AIOKafkaConsumer, count: int, most: int) -> AsyncIterator[list[ConsumerRecord]]:
    while count > 0:
        found = await reader.getmany(timeout_ms=1000, max_records=most)
        batch = [record for records in found.values() for record in records]
        count -= len(batch)
        if batch:
            yield batch


ROLES: dict[str, Callable[..., Coroutine[None, None, float]]] = {"send": send, "hop": hop, "keep": keep}


def main() -> None:
    """Run one role and say how long it took."""
    _, role, count, *topics = sys.argv
    print(uvloop.run(ROLES[role](int(count), *topics)))


if __name__ == "__main__":
    main()
