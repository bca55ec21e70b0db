"""Keeping the replica: the directory topic consumed in batches; a document that cannot be read stops it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aiokafka import TopicPartition
from faststream.kafka.message import KafkaMessage

from chassis import telemetry
from chassis.consumer import Broker, Handler, Inbox, PatientConsumer, Received, Record, subscribe
from chassis.database import UNREACHABLE, Connection, Database
from chassis.health import Health
from contracts.directory import BEAT_KEY, TOPIC
from roster import store
from roster.facts import pared
from roster.freshness import SILENCE_SECONDS, Freshness

ROSTER = ("roster", Path(__file__).parent / "migrations")
"""The roster's tables: a component of the database of each service that decides."""
_PARTITION = TopicPartition(TOPIC, 0)


async def fresh(connection: Connection, _: str, events: Sequence[Received]) -> list[Received]:
    """The events the replica has not heard of.

    The directory's sequences grow over all its documents and come in that order, so the replica's own position tells
    repeats, and no key needs to be remembered apart. The row is locked: two processes never apply at once.
    """
    position = await store.hold_position(connection)
    found = []
    for event in events:
        sequence = event.envelope.sequence
        if sequence is None or sequence > position:
            position = position if sequence is None else sequence
            found.append(event)
    return found


async def apply(
    connection: Connection, events: Sequence[Received], *, members: bool = True, heard: bool = True
) -> None:
    """Bring the replica up to these events; of several states of one document the last counts.

    `heard`: they are news of now, and not what has stood in the topic for long.
    """
    documents: dict[str, tuple[int, str | None]] = {}
    reached = 0
    for event in events:
        sequence = event.envelope.sequence or 0
        reached = max(reached, sequence)
        if event.envelope.key != BEAT_KEY:
            facts = None if event.value is None else pared(event.envelope.key, event.value)
            documents[event.envelope.key] = (sequence, facts)
    if documents:
        await store.replace_documents(connection, documents, members=members)
    await store.advance(connection, reached, heard=heard)


class Roster:
    """The replica of one service, with what its health says of it."""

    def __init__(
        self,
        database: Database,
        service: str,
        beside: Handler | None = None,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        members: bool = False,
    ) -> None:
        """`beside` is what the service keeps of the same documents, in the transaction that brings the replica up.

        `members`: the service asks who belongs to a group; for a county that is the larger part of the replica's work.
        """
        self._members = members
        self._database = database
        self._beside = beside
        self._group = f"{service}-roster"
        self._inbox = Inbox(
            database, service=service, consumer=self._group, parks=False, only_new=fresh, on_stop=store.stop
        )
        self._silence = silence_seconds
        self._freshness = Freshness(self._end, silence_seconds)
        self._consumer: PatientConsumer | None = None
        self._standing = store.NEVER
        telemetry.gauge(
            "preau_roster_age_seconds", "Seconds since the directory was heard of", lambda: self._standing.age
        )

    def subscribe(self, broker: Broker) -> None:
        """Have the broker feed this replica."""

        @subscribe(broker, TOPIC, group=self._group, places=self._inbox.places, max_records=2000)
        async def on_directory(message: KafkaMessage) -> None:
            await self.receive(message)

    async def receive(self, message: KafkaMessage) -> None:
        """Take a batch of the directory in."""
        records = self._inbox.consumption.began(message)
        heard = await self._hears(records, message)
        await self._inbox.receive(message, partial(self._apply, heard))

    async def _hears(self, records: Sequence[Record], message: KafkaMessage) -> bool:
        self._consumer = message.consumer  # type: ignore[assignment]
        assert self._consumer is not None
        if not self._inbox.consumption.follows(records):
            self._freshness.doubt()
        last = records[-1].offset
        if _PARTITION not in self._consumer.assignment() or last + 1 < (self._consumer.highwater(_PARTITION) or 0):
            return False
        return await self._freshness.read(last)

    async def _end(self) -> int:
        assert self._consumer is not None
        return int((await self._consumer.end_offsets([_PARTITION]))[_PARTITION])

    async def _apply(self, heard: bool, connection: Connection, events: Sequence[Received]) -> None:
        await apply(connection, events, members=self._members, heard=heard)
        if self._beside is not None:
            await self._beside(connection, events)

    def watch(self, health: Health, *, stale_is_unready: bool = False) -> None:
        """Report a replica that stands still; one that is merely stale too, where what is sent rests on it.

        It is the same in every process of the service, whichever of them feeds it.
        """
        self._inbox.consumption.watch(health)
        silence = self._silence if stale_is_unready else float("inf")
        health.ready("roster", lambda: self._standing.doubt(silence))

    async def measure(self, every: float = 2.0) -> None:
        """Follow how the replica stands for ever; several processes share it, so the database tells."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                async with self._database.connection() as connection:
                    self._standing = await store.standing(connection)
            await asyncio.sleep(every)
