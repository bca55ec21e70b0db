"""Where a feed takes up whose database was lost or is an older one: with the generation that was announced last.

Topics, gateways and cursors outlive the database. What it no longer knows of that generation is read again out of its topic.
"""

from __future__ import annotations

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from chassis.database import Database
from contracts import generations
from contracts.envelope import BadEnvelope, from_headers
from services.feed import rebuild, store

_SECONDS = 15
_log = logging.getLogger(__name__)


async def take_up(database: Database, bootstrap: str, topic: str = generations.TOPIC) -> None:
    """Have the generation serve that was announced last where the database knows of none so late, and announce it.

    Raises what Kafka and the database raise; it may be done again.
    """
    newest = await announced(bootstrap, topic)
    async with database.transaction() as connection:
        known = await store.generations(connection, lock=True)
        if newest > known[-1].generation:
            _log.warning("takes up the generation announced", extra={"generation": newest})
            for one in known:
                if one.state in ("serving", "building"):
                    await store.retire(connection, one.generation)
            await store.begin(connection, newest)
            await store.serve(connection, newest)
        await store.remember_lineage(connection)
        await rebuild.announce(connection)


async def announced(bootstrap: str, topic: str) -> int:
    """The greatest generation that was ever announced as serving; 0 for none."""
    place = TopicPartition(topic, 0)
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap.split(","), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await reader.start()
    try:
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        await reader.seek_to_beginning(place)
        newest = 0
        async with asyncio.timeout(_SECONDS):
            while await reader.position(place) < end:
                for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                    newest = max(newest, _generation(record.headers, record.key, record.value))
        return newest
    finally:
        await reader.stop()


def _generation(headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> int:
    try:
        told = from_headers(headers, key).type == generations.GenerationServes.TYPE and value is not None
        return generations.GenerationServes.model_validate_json(value or b"", extra="ignore").generation if told else 0
    except (BadEnvelope, ValidationError) as error:
        _log.error("announcement unreadable", extra={"cause": type(error).__name__})
        return 0
