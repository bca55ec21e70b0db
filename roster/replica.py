"""Keeping the replica: the directory topic consumed in batches; a document that cannot be read stops it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from faststream.kafka.message import KafkaMessage

from chassis import telemetry
from chassis.consumer import Broker, Handler, Inbox, Received, subscribe
from chassis.database import UNREACHABLE, Connection, Database
from chassis.health import Health
from contracts.directory import BEAT_KEY, TOPIC
from roster import store
from roster.facts import pared

ROSTER = ("roster", Path(__file__).parent / "migrations")
"""The roster's tables: a component of the database of each service that decides."""

STALE_SECONDS = 60
"""A replica that has heard nothing for so long is not to be sent by; the directory beats every 5 s."""


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


async def apply(connection: Connection, events: Sequence[Received], *, members: bool = True) -> None:
    """Bring the replica up to these events; of several states of one document the last counts."""
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
    await store.advance(connection, reached)


class Roster:
    """The replica of one service, with what its health says of it."""

    def __init__(
        self, database: Database, service: str, beside: Handler | None = None, *, members: bool = False
    ) -> None:
        """`beside` is what the service keeps of the same documents, in the transaction that brings the replica up.

        `members`: the service asks who belongs to a group; for a county that is the larger part of the replica's work.
        """
        self._members = members
        self._database = database
        self._beside = beside
        self._inbox = Inbox(database, service=service, consumer=f"{service}-roster", parks=False, only_new=fresh)
        self._group = f"{service}-roster"
        self.age = 86400.0
        telemetry.gauge("preau_roster_age_seconds", "Seconds since the directory was heard of", lambda: self.age)

    def subscribe(self, broker: Broker) -> None:
        """Have the broker feed this replica."""

        @subscribe(broker, TOPIC, group=self._group, places=self._inbox.places, max_records=2000)
        async def on_directory(message: KafkaMessage) -> None:
            await self._inbox.receive(message, self._apply)

    async def _apply(self, connection: Connection, events: Sequence[Received]) -> None:
        await apply(connection, events, members=self._members)
        if self._beside is not None:
            await self._beside(connection, events)

    def watch(self, health: Health, *, stale_is_unready: bool = False) -> None:
        """Report a replica that stands still; one that is merely stale too, where what is sent rests on it."""
        self._inbox.consumption.watch(health)
        if stale_is_unready:
            health.ready("roster", self.stale)

    def stale(self) -> str | None:
        """What is wrong when the directory has not been heard of for a minute."""
        return None if self.age <= STALE_SECONDS else f"the directory was last heard of {self.age:.0f} s ago"

    async def measure(self, every: float = 2.0) -> None:
        """Follow the replica's age for ever; several processes share one replica, so the database tells it."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                async with self._database.connection() as connection:
                    self.age = await store.age_seconds(connection)
            await asyncio.sleep(every)
