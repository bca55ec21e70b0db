"""The notify service, composed: roster with contacts, consumer, courier, channels, HTTP."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from chassis import audit, consumer
from chassis.consumer import Inbox
from chassis.database import Database
from chassis.http import create_app
from chassis.identity import TokenVerifier
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import OutboxWaker
from chassis.process import Process, run
from chassis.settings import pem
from roster.replica import ROSTER, Roster
from services.notify import api, consumers
from services.notify.channels.email import Email
from services.notify.settings import NotifySettings
from services.notify.usecases import telling
from services.notify.usecases.telling import Memory
from services.notify.worker import Courier

MIGRATIONS = ("notify", Path(__file__).parent / "migrations")


async def compose(process: Process, settings: NotifySettings) -> None:
    """Start the service's parts in order."""
    await migrate(settings.direct_url(), [CHASSIS, ROSTER, MIGRATIONS])
    database = Database(settings)
    await process.part(database.open(), database.close)
    # Dead letters go out by the outbox.
    waker = OutboxWaker(database)
    await process.part(waker.start(), waker.stop)
    email = Email(settings)
    process.at_end(email.close)
    channels = {"email": email.send}
    courier = Courier(database, channels, settings)
    process.background("courier", courier.run())
    process.at_end(courier.drain)
    process.background("queue depth", courier.measure())
    process.background("pruning", courier.prune())
    inbox = Inbox(database, service="notify", consumer=consumers.CONSUMER)
    roster = Roster(database, "notify", beside=telling.know, silence_seconds=settings.silence_seconds)
    broker = consumer.broker(settings.kafka)
    memory = Memory(timedelta(hours=settings.news_hours), timedelta(days=settings.message_days))
    consumers.listen(broker, inbox, list(channels), memory)
    roster.subscribe(broker)
    inbox.consumption.watch(process.health)
    roster.watch(process.health, stale_is_unready=True)
    process.background("roster age", roster.measure())
    process.background("consumers", consumer.keep_running(broker, process.health, settings.instance))
    app = create_app("notify", settings, TokenVerifier(pem(settings.token_public_key), "notify"))
    app.state.database = database
    audit.audit_refusals(app, database)
    app.include_router(api.router)
    await process.serve(app, settings)


def main() -> None:
    """Run the notify service."""
    settings = NotifySettings()
    run("notify", settings, lambda process: compose(process, settings))
