"""The directory service, composed: settings, database, outbox, HTTP, beat."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from chassis import audit
from chassis.database import Database
from chassis.http import create_app
from chassis.idempotency import Writes
from chassis.identity import TokenVerifier
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import OutboxGauge, OutboxWaker
from chassis.process import Process, run
from chassis.settings import HttpSettings, pem
from services.directory import api
from services.directory.beat import beat
from services.directory.settings import DirectorySettings

MIGRATIONS = ("directory", Path(__file__).parent / "migrations")


def http(settings: HttpSettings, public_key: str, database: Database, writes: Writes) -> FastAPI:
    """The HTTP side alone."""
    app = create_app("directory", settings, TokenVerifier(pem(public_key), "directory"))
    app.state.database, app.state.writes = database, writes
    audit.audit_refusals(app, database)
    app.include_router(api.router)
    return app


async def compose(process: Process, settings: DirectorySettings) -> None:
    """Start the service's parts in order."""
    await migrate(settings.direct_url(), [CHASSIS, MIGRATIONS])
    database = Database(settings)
    await process.part(database.open(), database.close)
    waker, gauge = OutboxWaker(database), OutboxGauge(database)
    await process.part(waker.start(), waker.stop)
    process.background("outbox gauge", gauge.watch())
    writes = Writes(database, gauge)
    process.background("idempotency sweep", writes.sweep())
    process.background("beat", beat(settings.kafka, settings.beat_seconds))
    await process.serve(http(settings, settings.token_public_key, database, writes), settings)


def main() -> None:
    """Run the directory."""
    settings = DirectorySettings()
    run("directory", settings, lambda process: compose(process, settings))
