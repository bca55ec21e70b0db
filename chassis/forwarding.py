"""Forwarding: a topic's events turned into another topic's, at least once, in order per key, without a database on the way.

A repeat carries the sequence of its cause, so every reader of the second topic knows it as one. A poison event parks its
key as in an inbox.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faststream.kafka.message import KafkaMessage

from chassis import parking, telemetry
from chassis.consumer import Consumption, Received, Record, decode
from chassis.database import UNREACHABLE, Database
from chassis.sending import Ready, producer, send

Turn = Callable[[Received], Ready | None]
"""What an event becomes; None for nothing; an exception means poison."""

_KNOWN = 500_000
_PARKED_SECONDS = 1.0
_log = logging.getLogger(__name__)
_forwarded = telemetry.meter.create_counter("preau_forwarded_events", description="Events put on the second topic")


class Forwarder:
    """Turns what it receives into another topic's records and sends them."""

    def __init__(self, database: Database, bootstrap: str, *, service: str, consumer: str, turn: Turn) -> None:
        self.consumption = Consumption(consumer)
        self._database = database
        self._bootstrap = bootstrap
        self._service = service
        self._consumer = consumer
        self._turn = turn
        self._producer: AIOKafkaProducer | None = None
        self._sequences: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._standing = parking.Standing(consumer)
        self._parked_read = float("-inf")

    async def stop(self) -> None:
        """Stop sending."""
        sender, self._producer = self._producer, None
        if sender:
            await sender.stop()

    async def receive(self, message: KafkaMessage) -> None:
        """Forward a batch; its offsets are committed once it is acknowledged."""
        records = self.consumption.began(message)
        try:
            await self._forward(records)
        except Exception:
            _log.exception("forwarder cannot go on", extra={"consumer": self._consumer})
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        self.consumption.done(records)

    async def _forward(self, records: Sequence[Record]) -> None:
        batch = decode(records)
        await self._read_parked(at_once=not self.consumption.follows(records))
        for dead in batch.undecodable:
            await self._park(dead, "envelope")
        events = [event for event in batch.events if self._is_new(event)]
        made = [await self._turned(event) for event in events]
        await self._send([one for one in made if one is not None])
        for event in events:
            self._remember(event)

    def _is_new(self, event: Received) -> bool:
        sequence = event.envelope.sequence
        return sequence is None or sequence > self._sequences.get((event.envelope.source, event.envelope.key), -1)

    def _remember(self, event: Received) -> None:
        name, sequence = (event.envelope.source, event.envelope.key), event.envelope.sequence
        if sequence is None or self._standing.is_parked(event) or self._standing.passes(event):
            return
        self._sequences[name] = max(sequence, self._sequences.pop(name, -1))
        if len(self._sequences) > _KNOWN:
            self._sequences.popitem(last=False)

    async def _turned(self, event: Received) -> Ready | None:
        if self._standing.is_parked(event) and await self._follow(event):
            return None
        if self._standing.passes(event):
            return None
        try:
            made = self._turn(event)
        except Exception as error:
            await self._park(event, type(error).__name__)
            return None
        if made is not None and event.envelope.traceparent:
            with telemetry.event_span(f"forward {made.topic}", event.envelope.traceparent):
                pass
        return made

    async def _send(self, records: Sequence[Ready]) -> None:
        """Send all and await all acknowledgements; whatever fails, the whole batch is sent again, in order."""
        while records:
            try:
                await send(await self._started(), records)
                _forwarded.add(len(records), {"consumer": self._consumer})
                return
            except (KafkaError, OSError) as error:
                _log.warning(
                    "not sent, trying again", extra={"consumer": self._consumer, "cause": type(error).__name__}
                )
                self.consumption.alive()
                await self._drop_producer()
                await asyncio.sleep(0.2)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            fresh = producer(self._bootstrap)
            try:
                await fresh.start()
            except BaseException:
                await fresh.stop()
                raise
            self._producer = fresh
        return self._producer

    async def _drop_producer(self) -> None:
        # After a fatal error an idempotent producer refuses everything, so a fresh one takes its place.
        try:
            await self.stop()
        except (KafkaError, OSError):
            _log.info("producer dropped", extra={"consumer": self._consumer})

    async def _read_parked(self, *, at_once: bool) -> None:
        """Know which keys are parked; at once where another process may have parked one a moment ago."""
        if not at_once and time.monotonic() - self._parked_read < _PARKED_SECONDS:
            return
        if at_once:
            await self.consumption.retry(self._read_standing)
        else:
            try:
                await self._read_standing()
            except UNREACHABLE:
                # What this process knows of parked keys goes on to hold; an event of a free key needs no database.
                _log.warning("parked keys not read", extra={"consumer": self._consumer})
        self._parked_read = time.monotonic()
        self.consumption.parked = len(self._standing.parked)

    async def _read_standing(self) -> None:
        async with self._database.connection() as connection:
            self._standing = await parking.standing(connection, self._consumer)
            if self._standing.passed_over:
                await self._standing.forget(connection, self.consumption.reached)

    async def _park(self, event: Received, reason: str) -> None:
        async def park() -> None:
            async with self._database.transaction() as connection:
                await parking.park(connection, self._service, self._consumer, event, reason)

        _log.error("key parked", extra={"consumer": self._consumer, "event": event.envelope.id, "reason": reason})
        await self.consumption.retry(park)
        self._standing = self._standing.and_parked(event)

    async def _follow(self, event: Received) -> bool:
        """Park an event behind those of its key, unless an operator has let the key go meanwhile; whether it was parked."""

        async def park() -> None:
            async with self._database.transaction() as connection:
                # Within the transaction: an operator's, which lets keys go, waits for this one or has come before.
                self._standing = await parking.standing(connection, self._consumer)
                if self._standing.is_parked(event):
                    await parking.park(connection, self._service, self._consumer, event, "follows a parked event")

        await self.consumption.retry(park)
        return self._standing.is_parked(event)
