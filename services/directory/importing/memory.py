"""Recalling and remembering what a source said, in the directory's database."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

from chassis.database import Connection, Database
from services.directory import store
from services.directory.importing.package import Refused
from services.directory.importing.past import Past, without_person
from services.directory.importing.reading import Reading
from services.directory.importing.report import Report, repeated


async def recall(database: Database, source: str) -> Past:
    """What a source said before, as of one moment."""
    if not source:
        return Past()
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await _recall(connection, source)


async def _recall(connection: Connection, source: str) -> Past:
    head = await store.source_head(connection, source)
    return Past(**dict(head), parts=await store.source_parts(connection, source)) if head else Past()


async def again(database: Database, source: str, digest: str, authority: str) -> Report | None:
    """The report of a package that is just what the source brought last; None where anything may differ.

    What a source repeats changes nothing, whatever was entered by hand since: so nothing needs to be compared.
    """
    async with database.connection() as connection:
        told = await store.source_report(connection, source, digest, authority)
        if told is None:
            return None
        report = repeated(json.loads(told))
        report.position = await store.position(connection)
    return report


async def check(connection: Connection, source: str, past: Past, report: Report) -> None:
    """Refuse when the source's rows have changed since they were recalled; the caller is the only writer."""
    head = await store.source_head(connection, source)
    if (head["revision"] if head else 0) != past.revision:
        report.refuse("changed-meanwhile", "")
        raise Refused


async def remember(
    connection: Connection, source: str, digest: str, authority: str, past: Past, reading: Reading, report: Report
) -> None:
    """Remember what a source has said in all."""
    if reading.parts is not None:
        newest = reading.newest or past.newest
        # A delta says again what it said of some people; what it meant then need not be what it means now.
        told = None if report.about is not None else json.dumps(report.as_dict(), ensure_ascii=False)
        await store.save_source(connection, source, digest, authority, newest, reading.parts, told)


async def forget(connection: Connection, source: str, id: UUID) -> None:
    """Remove an erased person from what their source said; the caller is the only writer."""
    past = await _recall(connection, source)
    if past.revision:
        parts = await asyncio.to_thread(without_person, source, id, past.parts)
        await store.save_source(connection, source, "", past.authority, past.newest, parts, None)
