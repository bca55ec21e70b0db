"""Events in: domain topics to the feed topic, and the feed topic to the history."""

from __future__ import annotations

from collections.abc import Sequence

from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from chassis.consumer import Inbox, Received, subscribe
from chassis.database import Connection
from chassis.forwarding import Forwarder
from contracts import feed, grades
from services.feed import usecases

DOMAIN_TOPICS = (grades.TOPIC,)
"""The topics whose facts families see."""


def project(broker: KafkaBroker, forwarder: Forwarder) -> None:
    """Have the broker turn domain events into the feed's."""

    @subscribe(broker, *DOMAIN_TOPICS, group="feed-projector")
    async def on_fact(message: KafkaMessage) -> None:
        await forwarder.receive(message)


def keep(broker: KafkaBroker, inbox: Inbox, generation: int) -> None:
    """Have the broker take the feed topic into the history."""

    async def effect(connection: Connection, events: Sequence[Received]) -> None:
        await usecases.keep(connection, events, generation)

    @subscribe(broker, feed.TOPIC, group="feed-history", max_records=1000)
    async def on_item(message: KafkaMessage) -> None:
        await inbox.receive(message, effect)
