"""The beat: the directory says every few seconds that it is alive, so that a silent replica knows it is stale."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.outbox import dump
from contracts.directory import BEAT_KEY, SOURCE, TOPIC, Beat
from contracts.envelope import Envelope, new_id, to_headers

_log = logging.getLogger(__name__)


async def beat(bootstrap: str, every: float, topic: str = TOPIC) -> None:
    """Beat for ever, without a sequence: a beat is no change and moves no position.

    It goes straight to Kafka, past the outbox: a beat that waited for a relay would say nothing about now.
    """
    while True:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0, request_timeout_ms=5000)
        try:
            await producer.start()
            while True:
                await _send(producer, topic)
                await asyncio.sleep(every)
        except (KafkaError, OSError) as error:
            _log.warning("the beat did not go out", extra={"cause": type(error).__name__})
        finally:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 5)
        await asyncio.sleep(every)


async def _send(producer: AIOKafkaProducer, topic: str) -> None:
    envelope = Envelope(
        id=new_id(), type=Beat.TYPE, source=SOURCE, subject=BEAT_KEY, key=BEAT_KEY, time=datetime.now(UTC)
    )
    await producer.send_and_wait(topic, dump(Beat()), key=BEAT_KEY.encode(), headers=to_headers(envelope))
