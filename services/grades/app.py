"""The grades service, composed: settings, database, roster, outbox, timers, HTTP."""

from __future__ import annotations

from pathlib import Path

from chassis import audit, consumer, replays
from chassis.database import Database
from chassis.direct import Direct
from chassis.http import create_app
from chassis.idempotency import Writes
from chassis.identity import TokenVerifier
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import OutboxGauge, OutboxWaker
from chassis.process import Process, run
from chassis.settings import pem
from chassis.timers import Timers
from roster.replica import ROSTER, Roster
from services.grades import api, usecases
from services.grades.settings import GradesSettings

MIGRATIONS = ("grades", Path(__file__).parent / "migrations")


async def compose(process: Process, settings: GradesSettings) -> None:
    """Start the service's parts in order."""
    await migrate(settings.direct_url(), [CHASSIS, ROSTER, MIGRATIONS])
    database = Database(settings)
    await process.part(database.open(), database.close)
    waker, gauge = OutboxWaker(database), OutboxGauge(database)
    await process.part(waker.start(), waker.stop)
    process.background("outbox gauge", gauge.watch())
    roster = Roster(database, "grades", members=True, silence_seconds=settings.silence_seconds)
    broker = consumer.broker(settings.kafka)
    roster.subscribe(broker)
    roster.watch(process.health)
    process.background("roster age", roster.measure())
    process.background("consumers", consumer.keep_running(broker, process.health, settings.instance))
    process.background("timers", Timers(database, {usecases.DUE: usecases.due}).run())
    process.background("replays", replays.Replays(database, usecases.VISIBLE).run())
    writes = Writes(database, gauge)
    process.background("idempotency sweep", writes.sweep())
    verifier = TokenVerifier(pem(settings.token_public_key), "grades")
    app = create_app("grades", settings, verifier, first=[Direct(api.router, api.put_marks)])
    app.state.database, app.state.writes = database, writes
    audit.audit_refusals(app, database)
    app.include_router(api.router)
    app.include_router(replays.routes("grades"))
    await process.serve(app, settings)


def main() -> None:
    """Run the grades service."""
    settings = GradesSettings()
    run("grades", settings, lambda process: compose(process, settings))
