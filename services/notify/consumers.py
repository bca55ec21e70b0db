"""Events in: domain topics to the queue."""

from __future__ import annotations

from collections.abc import Sequence

from faststream.kafka.message import KafkaMessage

from chassis.consumer import Broker, Inbox, Received, subscribe
from chassis.database import Connection
from contracts import grades
from roster.causality import CauseFirst
from services.notify.usecases import telling
from services.notify.usecases.telling import Memory

DOMAIN_TOPICS = (grades.TOPIC,)
"""The topics whose facts people are told."""
CONSUMER = "notify"


def listen(broker: Broker, inbox: Inbox, channels: Sequence[str], memory: Memory) -> None:
    """Have the broker queue what domain events tell, each once this service's roster knows what its writer knew."""

    async def effect(connection: Connection, events: Sequence[Received]) -> None:
        await telling.tell(connection, events, channels, memory)

    cause_first = CauseFirst(effect, inbox.consumption.alive)

    # By the group's offsets, not by places: of a database that was lost they are what is left to know who was told.
    @subscribe(broker, *DOMAIN_TOPICS, group=CONSUMER, gathered=True)
    async def on_fact(message: KafkaMessage) -> None:
        await inbox.receive(message, cause_first)
