"""Events in: domain topics to the feed topic, and the feed topic to the history."""

from __future__ import annotations

from collections.abc import Sequence

from faststream.kafka.message import KafkaMessage

from chassis.consumer import Broker, Inbox, Received, subscribe
from chassis.database import Connection
from chassis.dealing import dealer
from chassis.forwarding import Forwarder
from contracts import feed, grades
from services.feed import usecases

DOMAIN_TOPICS = (grades.TOPIC,)
"""The topics whose facts families see."""


def projector(generation: int) -> str:
    """The consumer, and its group in Kafka, that turns domain events into a generation's."""
    return "feed-projector" if generation == 1 else f"feed-projector-g{generation}"


def history(generation: int) -> str:
    """The consumer, and its group in Kafka, that keeps a generation's history."""
    return "feed-history" if generation == 1 else f"feed-history-g{generation}"


_HISTORY = 0.5
"""What keeping the history costs beside projecting, of which it is one process's share."""


def project(broker: Broker, forwarder: Forwarder, generation: int, process: str) -> None:
    """Have the broker turn domain events into a generation's."""

    # Few at a time: the history's batches, which are large, wait for them on the same loop.
    dealing = dealer(process, let_off=_HISTORY)

    @subscribe(broker, *DOMAIN_TOPICS, group=projector(generation), max_records=250, dealer=dealing)
    async def on_fact(message: KafkaMessage) -> None:
        await forwarder.receive(message)


def keep(broker: Broker, inbox: Inbox, generation: int, process: str) -> None:
    """Have the broker take a generation's topic into its history."""

    async def effect(connection: Connection, events: Sequence[Received]) -> None:
        await usecases.keep(connection, events, generation)

    @subscribe(
        broker,
        feed.topic_of(generation),
        group=history(generation),
        places=inbox.places,
        max_records=4000,
        gathered=True,
        dealer=dealer(process),
    )
    async def on_item(message: KafkaMessage) -> None:
        await inbox.receive(message, effect)
