"""The feed service, composed: a line for each generation, roster, HTTP."""

from __future__ import annotations

from pathlib import Path

from chassis import audit, consumer
from chassis.cursor import Cursors
from chassis.database import Database
from chassis.http import create_app
from chassis.identity import TokenVerifier
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import OutboxWaker
from chassis.process import Process, run
from chassis.settings import pem
from roster.replica import ROSTER, Roster
from services.feed import api
from services.feed.lines import Lines
from services.feed.rebuild import Rebuild
from services.feed.settings import FeedSettings

MIGRATIONS = ("feed", Path(__file__).parent / "migrations")


async def compose(process: Process, settings: FeedSettings) -> None:
    """Start the service's parts in order."""
    await migrate(settings.direct_url(), [CHASSIS, ROSTER, MIGRATIONS])
    database = Database(settings)
    await process.part(database.open(), database.close)
    waker = OutboxWaker(database)
    await process.part(waker.start(), waker.stop)
    roster = Roster(database, "feed", silence_seconds=settings.silence_seconds)
    broker = consumer.broker(settings.kafka)
    roster.subscribe(broker)
    roster.watch(process.health)
    process.background("roster age", roster.measure())
    process.background("consumers", consumer.keep_running(broker, process.health, settings.instance))
    process.background("generations", Lines(database, settings, process.health).keep())
    app = create_app("feed", settings, TokenVerifier(pem(settings.token_public_key), "feed"))
    cursors = Cursors(settings.cursor_secret.get_secret_value().encode())
    app.state.feed = api.Feed(database, cursors, Rebuild(database, settings.kafka))
    audit.audit_refusals(app, database)
    app.include_router(api.router)
    await process.serve(app, settings)


def main() -> None:
    """Run the feed service."""
    settings = FeedSettings()
    run("feed", settings, lambda process: compose(process, settings))
