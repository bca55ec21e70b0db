"""The audit trail: who among staff wrote or read what about whom, and what was refused; only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import FastAPI, Request, Response

from chassis import telemetry
from chassis.database import UNREACHABLE, Connection, Database
from chassis.identity import Caller
from chassis.problems import Problem, busy


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing done or refused: an action (`marks.write`) on an object (`assessments/<id>`) of a school."""

    caller: str
    action: str
    object: str
    uai: str | None = None
    outcome: str = "done"


class Refused(Problem):
    """A refusal that does not tell whether the thing exists; an app with `audit_refusals` writes it down."""

    def __init__(self, caller: Caller, action: str, object: str, uai: str | None = None) -> None:
        super().__init__(404, "not-found", "Not found")
        self.entry = Entry(caller.subject, action, object, uai, "refused")


async def record(connection: Connection, entry: Entry) -> None:
    """Write an entry in the transaction of what it tells."""
    await connection.execute(
        "INSERT INTO audit_entries (uai, caller, action, object, outcome, request) VALUES ($1, $2, $3, $4, $5, $6)",
        entry.uai,
        entry.caller,
        entry.action,
        entry.object,
        entry.outcome,
        telemetry.request_id.get(),
    )


def audit_refusals(app: FastAPI, database: Database) -> None:
    """Write down every `Refused` an app answers; without the database nothing is answered at all."""

    @app.exception_handler(Refused)
    async def on_refused(_: Request, refused: Refused) -> Response:
        try:
            async with database.connection() as connection:
                await record(connection, refused.entry)
        except UNREACHABLE:
            return busy("The database is not available.").response()
        return refused.response()


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first, and where the next page begins (None: there is none)."""

    entries: list[dict[str, str | None]]
    next: str | None


async def page(connection: Connection, uai: str, before: int | None, limit: int) -> Page:
    """A school's entries, newest first, before the given id."""
    rows = await connection.fetch(
        "SELECT id, at, caller, action, object, outcome, request FROM audit_entries"
        " WHERE uai = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        uai,
        before,
        limit,
    )
    entries = [{**{k: v for k, v in row.items() if k != "id"}, "at": _text(row["at"])} for row in rows]
    return Page(entries, str(rows[-1]["id"]) if len(rows) == limit else None)


def _text(at: datetime) -> str:
    return at.isoformat()
