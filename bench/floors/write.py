"""The floor of a write: the rows of a class's marks committed by bare asyncpg, one statement each, over 16 connections.

`python -m bench.floors.write TITLE` with the database's URL in the environment: one class after another of the assessments
of that title, with the very rows the service writes. Says on its standard output in how many seconds how many were committed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop

from chassis.database import Connection
from chassis.outbox import columns
from services.grades import store
from services.grades.domain import Change, Mark, Told
from services.grades.events import events_of

CONNECTIONS = 16
_ANSWER = b"x" * 700
_COMMIT = """
    WITH kept AS (
        INSERT INTO marks (assessment, pupil, score) SELECT $1, pupil, $3 FROM unnest($2::uuid[]) AS pupil
    ), logged AS (
        INSERT INTO mark_changes (assessment, pupil, changed_at, changed_by, new)
        SELECT $1, pupil, now(), $4, $5::jsonb FROM unnest($2::uuid[]) AS pupil
    ), told AS (
        INSERT INTO disclosures (assessment, pupil, audience, score, assessment_version, event, first_published_at,
            updated_at)
        SELECT $1, pupil, audience, $3, 1, event, now(), now()
        FROM unnest($6::uuid[], $7::text[], $8::uuid[]) AS told (pupil, audience, event)
    ), entry AS (
        INSERT INTO audit_entries (uai, caller, action, object, outcome) VALUES ($9, $4, 'marks.write', $10, 'done')
    ), answered AS (
        INSERT INTO idempotency_keys (caller, key, digest, status, headers, body)
        VALUES ($4, $10, sha256($15), 200, '{}', $15)
    )
    INSERT INTO outbox (topic, key, headers, value)
    SELECT * FROM unnest($11::text[], $12::text[], $13::text[], $14::bytea[])
"""


async def run(url: str, title: str) -> tuple[int, float]:
    """Commit a class's marks for each assessment of this title; returns how many, and the seconds."""
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    lanes = await _lanes(connections[0], title)
    for connection in connections:
        await connection.prepare(_COMMIT)
    began = time.perf_counter()
    await asyncio.gather(*map(_commit_all, connections, lanes))
    elapsed = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return sum(map(len, lanes)), elapsed


async def _commit_all(connection: Connection, lane: Sequence[tuple[Any, ...]]) -> None:
    for values in lane:
        await connection.execute(_COMMIT, *values)


async def _lanes(connection: Connection, title: str) -> list[list[tuple[Any, ...]]]:
    """The statement's arguments for each connection: a class's assessments each."""
    rows = await connection.fetch(
        "SELECT group_id, array_agg(id) AS ids FROM assessments WHERE title = $1 GROUP BY group_id", title
    )
    return [await _lane(connection, row["group_id"], row["ids"]) for row in rows]


async def _lane(connection: Connection, group: UUID, ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    rows = await connection.fetch("SELECT pupil FROM roster_memberships WHERE group_id = $1", group)
    pupils = [row["pupil"] for row in rows]
    mark, caller = Mark(Decimal("14.5")), f"people/{uuid4()}"
    changes = [Change(Told.PUBLISHED, pupil, audience, None, mark) for pupil in pupils for audience in store.AUDIENCES]
    assessment = await store.assessment(connection, ids[0])
    assert assessment is not None
    events = events_of(assessment, changes, 1)
    logged = '{"score": "14.5", "code": null, "comment": null}'
    told = [change.pupil for change in changes], [change.audience for change in changes]
    given = (pupils, mark.score, caller, logged, *told, [UUID(event.envelope.id) for event in events], assessment.uai)
    return [(id, *given, f"assessments/{id}", *columns(events), _ANSWER) for id in ids]


def main() -> None:
    """Run it and say what it took."""
    print(*uvloop.run(run(os.environ["FLOOR_DATABASE"], sys.argv[1])))


if __name__ == "__main__":
    main()
