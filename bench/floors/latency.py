"""The floor of a grade's way: a bare commit, two Kafka hops, a write to a socket; three processes, no rights, no rules.

`python -m bench.floors.latency ROLE` with the settings in the environment: `commit` takes a line from its socket, commits
a row with its event, sends the event and deletes it after; `hop` passes it from topic to topic; `push` writes it to every socket.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.sending import producer

GRADES, FEED = "bench.floor.grades", "bench.floor.feed"
SCHEMA = """
    CREATE TABLE IF NOT EXISTS floor_grades (id bigserial PRIMARY KEY, body bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS floor_outbox (id bigserial PRIMARY KEY, body bytea NOT NULL);
"""
_COMMIT = """
    WITH row AS (INSERT INTO floor_grades (body) VALUES ($1))
    INSERT INTO floor_outbox (body) VALUES ($1) RETURNING id
"""


async def commit(port: int, bootstrap: str, database: str) -> None:
    """Commit each line that arrives, answer, then send what was committed and delete it from the outbox."""
    pool = await asyncpg.create_pool(database, min_size=8, max_size=8)
    sender = await _sender(bootstrap)

    async def take(body: bytes, writer: asyncio.StreamWriter) -> None:
        id = await pool.fetchval(_COMMIT, body)
        writer.write(b"ok\n")
        acknowledged = await sender.send(GRADES, body, body[:8])
        await acknowledged
        await pool.execute("DELETE FROM floor_outbox WHERE id = $1", id)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks = set()
        async for line in reader:
            task = asyncio.create_task(take(line.rstrip(b"\n"), writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await _ready(server)


async def hop(port: int, bootstrap: str, _: str) -> None:
    """Pass what comes in one topic to the other."""
    sender = await _sender(bootstrap)

    async def on(body: bytes) -> None:
        await sender.send(FEED, body, body[:8])

    consumer = await _consumer(bootstrap, GRADES)
    server = await asyncio.start_server(_ignore, "127.0.0.1", port)
    await asyncio.gather(_ready(server), _consume(consumer, on))


async def push(port: int, bootstrap: str, _: str) -> None:
    """Write what comes in the second topic to every open socket."""
    writers: set[asyncio.StreamWriter] = set()

    async def on(body: bytes) -> None:
        for writer in writers:
            writer.write(body + b"\n")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        await reader.read()
        writers.discard(writer)

    consumer = await _consumer(bootstrap, FEED)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await asyncio.gather(_ready(server), _consume(consumer, on))


async def _ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _ready(server: asyncio.Server) -> None:
    async with server:
        await server.serve_forever()


async def _sender(bootstrap: str) -> AIOKafkaProducer:
    sender = producer(bootstrap)
    await sender.start()
    return sender


async def _consumer(bootstrap: str, topic: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="latest")
    await consumer.start()
    # A position that is not known yet would begin behind what is sent a moment from now.
    for partition in consumer.assignment():
        await consumer.position(partition)
    return consumer


async def _consume(consumer: AIOKafkaConsumer, on: Callable[[bytes], Awaitable[None]]) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                await on(record.value)


ROLES = {"commit": commit, "hop": hop, "push": push}


def main() -> None:
    """Run one role until told to stop."""
    role = ROLES[sys.argv[1]]
    settings = os.environ
    uvloop.run(role(int(settings["FLOOR_PORT"]), settings["FLOOR_KAFKA"], settings["FLOOR_DATABASE"]))


if __name__ == "__main__":
    main()
