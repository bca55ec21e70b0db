"""The audit trail: who among staff wrote or read what about whom, and what was refused; only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import AwareDatetime

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


RECORD_CTE = """
    INSERT INTO audit_entries (uai, caller, action, object, outcome, request)
    VALUES ({uai}, {caller}, {action}, {object}, {outcome}, {request})
"""
"""The insert as text, so that a store can make it a part of its own statement and save a round trip."""
_RECORD = RECORD_CTE.format(uai="$1", caller="$2", action="$3", object="$4", outcome="$5", request="$6")


def values(entry: Entry) -> tuple[str | None, ...]:
    """What `RECORD_CTE` takes: school, caller, action, object, outcome, request."""
    return entry.uai, entry.caller, entry.action, entry.object, entry.outcome, telemetry.request_id.get()


async def record(connection: Connection, entry: Entry) -> None:
    """Write an entry in the transaction of what it tells."""
    await connection.execute(_RECORD, *values(entry))


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


_NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a school's trail; None asks for anything.

    `person`: entries by them or about them. `since` is included, `until` is not. `before`: a page's `next`.
    """

    person: UUID | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int = _NEWEST


async def _question(
    person: UUID | None = None,
    action: Annotated[str | None, Query(pattern="^[a-z.-]{1,64}$")] = None,
    outcome: Literal["done", "refused"] | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    before: Annotated[int, Query(ge=0, le=_NEWEST)] = _NEWEST,
) -> Question:
    return Question(person, action, outcome, since, until, before)


Asked = Annotated[Question, Depends(_question)]
"""The question of a request, from its query string."""


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first, and where the next page begins (None: there is none)."""

    entries: list[dict[str, str | None]]
    next: str | None

    def document(self) -> dict[str, Any]:
        """The answer of an endpoint."""
        return {"entries": self.entries, "next": self.next}


# Ids are drawn a moment before the time is taken: a second each way finds the ids between two times by the index, and
# the times themselves are compared besides.
_SELECT = """
    SELECT id, at, caller, action, object, outcome, request FROM audit_entries
    WHERE uai = $1 AND id < $2
      AND id > coalesce((SELECT early.id FROM audit_entries early
                         WHERE early.uai = $1 AND early.at < $3::timestamptz - interval '1 second'
                         ORDER BY early.at DESC LIMIT 1), 0)
      AND id < coalesce((SELECT late.id FROM audit_entries late
                         WHERE late.uai = $1 AND late.at >= $4::timestamptz + interval '1 second'
                         ORDER BY late.at LIMIT 1), 9223372036854775807)
      AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
      AND ($5::text IS NULL OR action = $5) AND ($6::text IS NULL OR outcome = $6)
"""
_NEWEST_FIRST = " ORDER BY id DESC LIMIT $7"
_ANY = _SELECT + _NEWEST_FIRST
# The planner gets one condition that an index answers; the others then sift few rows.
_OF_ACTION = _SELECT + " AND action = $5" + _NEWEST_FIRST
_REFUSED = _SELECT + " AND outcome = 'refused'" + _NEWEST_FIRST
_BRANCHES = [f"({_SELECT} AND {who} {_NEWEST_FIRST})" for who in ("caller = $8", "object = $8", "object = $9")]
_OF_PERSON = f"SELECT * FROM ({' UNION '.join(_BRANCHES)}) found {_NEWEST_FIRST}"  # noqa: S608 - constants alone


async def page(connection: Connection, uai: str, asked: Question, limit: int) -> Page:
    """A school's entries that answer the question, newest first."""
    statement = _ANY
    given: list[object] = [uai, asked.before, asked.since, asked.until, asked.action, asked.outcome, limit]
    if asked.person is not None:
        statement = _OF_PERSON
        given += [f"people/{asked.person}", f"pupils/{asked.person}"]
    elif asked.action is not None:
        statement = _OF_ACTION
    elif asked.outcome == "refused":
        statement = _REFUSED
    rows = await connection.fetch(statement, *given)
    entries = [{**{k: v for k, v in row.items() if k != "id"}, "at": row["at"].isoformat()} for row in rows]
    return Page(entries, str(rows[-1]["id"]) if len(rows) == limit else None)
