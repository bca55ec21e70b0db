"""The audit trail's questions: what each answers, and that each is quick however long the trail."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis import audit
from chassis.audit import Question
from chassis.database import Connection, Database

UAI, OTHER = "0921234S", "0929999Z"
LEA = UUID("0195c0de-0000-7000-8000-000000000001")
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)

_FILL = """
    INSERT INTO audit_entries (at, uai, caller, action, object, outcome)
    SELECT $2::timestamptz + n * interval '1 second', CASE WHEN n % 10 = 0 THEN $3 ELSE $4 END, 'people/' || n % 97,
           CASE WHEN n % 9 = 0 THEN 'marks.write' ELSE 'assessment.read' END, 'assessments/' || n % 1009,
           CASE WHEN n % 9973 = 1 THEN 'refused' ELSE 'done' END
    FROM generate_series(1, $1::int) n
"""


async def enter(connection: Connection, seconds: int, *entry: str) -> None:
    await connection.execute(
        "INSERT INTO audit_entries (at, uai, caller, action, object, outcome) VALUES ($1, $2, $3, $4, $5, $6)",
        NOON + timedelta(seconds=seconds),
        UAI,
        *entry,
    )


async def test_each_question_has_its_answer(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(_FILL, 50, NOON, OTHER, OTHER)
        await enter(connection, 0, f"people/{LEA}", "feed.read", "feed", "refused")
        await enter(connection, 1, "people/head", "people.read", f"people/{LEA}", "done")
        await enter(connection, 2, "people/head", "grades.read", f"pupils/{LEA}", "done")
        await enter(connection, 3, "people/head", "marks.write", "assessments/1", "done")

        async def actions(**asked: Any) -> list[str | None]:
            page = await audit.page(connection, UAI, Question(**asked), 10)
            return [entry["action"] for entry in page.entries]

        everything = ["marks.write", "grades.read", "people.read", "feed.read"]
        assert await actions() == everything
        assert await actions(person=LEA) == everything[1:]
        assert await actions(person=LEA, outcome="done") == everything[1:3]
        assert await actions(action="grades.read") == ["grades.read"]
        assert await actions(outcome="refused") == ["feed.read"]
        # From a time on, up to a time.
        second = timedelta(seconds=1)
        assert await actions(since=NOON + second, until=NOON + 3 * second) == everything[1:3]
        assert await actions(since=NOON + 4 * second) == []
        assert await actions(until=NOON) == []


@pytest.mark.parametrize("asked", [{}, {"person": LEA}])
async def test_pages_follow_one_another(database: Database, asked: dict[str, Any]) -> None:
    async with database.connection() as connection:
        for n in range(7):
            await enter(connection, n, f"people/{LEA}", f"action.{'abcdefg'[n]}", f"pupils/{LEA}", "done")
        found, before = "", 2**63 - 1
        while True:
            page = await audit.page(connection, UAI, Question(**asked, before=before), 3)
            found += "".join(str(entry["action"])[-1] for entry in page.entries)
            if page.next is None:
                break
            before = int(page.next)
        assert found == "gfedcba"


ROWS = 60_000
END = NOON + timedelta(seconds=ROWS)
QUESTIONS = (
    Question(),
    Question(before=10),
    Question(person=LEA),
    Question(action="audit.read"),
    Question(outcome="refused"),
    Question(since=NOON, until=NOON + timedelta(minutes=1)),
    Question(since=END + timedelta(hours=1)),
    Question(until=NOON),
)


async def test_no_question_reads_the_whole_trail(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(_FILL, ROWS, NOON, OTHER, UAI)
        await connection.execute("VACUUM ANALYZE audit_entries")
        pages: int = await connection.fetchval("SELECT relpages FROM pg_class WHERE relname = 'audit_entries'")
        # As it is after many calls, when the plan no longer knows the values.
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for asked in QUESTIONS:
            read = await pages_read(connection, asked)
            assert read < pages / 2, asked


async def pages_read(connection: Connection, asked: Question) -> int:
    """How many pages of the database a question looks at."""
    explained: list[Any] = []

    class Explaining:
        async def fetch(self, statement: str, *given: object) -> list[Any]:
            explained.append(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *given))
            return []

    await audit.page(Explaining(), UAI, asked, 100)  # type: ignore[arg-type]
    plan = json.loads(explained[0])[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
