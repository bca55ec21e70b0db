"""Use cases of grades on a real PostgreSQL: what is stored, what is owed to Kafka, who is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chassis import replays
from chassis.audit import Refused
from chassis.database import Connection, Database
from chassis.identity import Caller
from chassis.problems import Problem
from chassis.timers import Timers
from roster.replica import ROSTER
from services.grades import store, usecases
from services.grades.app import MIGRATIONS
from services.grades.domain import Mark
from services.grades.store import Assessment
from tests.conftest import open_database
from tests.rosters import fill, small_school, uid

TEACHER = Caller(person=uid("teacher"))
BODY: dict[str, Any] = {
    "group": uid("3A"),
    "subject": None,
    "title": "Contrôle",
    "held_on": date(2026, 11, 20),
    "term": None,
    "out_of": Decimal(20),
    "coefficient": Decimal(1),
    "optional": False,
    "bonus": False,
    "pupils_due": None,
    "guardians_due": None,
}


@pytest.fixture
async def grades(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, ROSTER, MIGRATIONS)
    async with database.transaction() as connection:
        await fill(connection, *small_school())
    yield database
    await database.close()


async def create(connection: Connection, **changes: Any) -> Assessment:
    return await usecases.create_assessment(connection, TEACHER, dict(BODY) | changes)


async def put(connection: Connection, id: UUID, score: str, pupil: str = "zoé", reason: str | None = None) -> None:
    await connection.execute(usecases.marks_locks(id, [uid(pupil)]))
    await usecases.put_marks(connection, TEACHER, id, [uid(pupil)], [Mark(Decimal(score))], reason)


async def owed(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    """(kind, audience, data) of each event in the outbox, which is emptied."""
    async with database.transaction() as connection:
        rows = await connection.fetch("WITH gone AS (DELETE FROM outbox RETURNING *) SELECT * FROM gone ORDER BY id")
    found = []
    for row in rows:
        headers = dict(json.loads(row["headers"]))
        found.append((headers["ce_type"].split(".")[2], headers["ce_audience"], json.loads(row["value"])))
    return found


async def test_a_mark_is_told_to_each_audience_once_it_is_published(grades: Database) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
        await put(connection, found.id, "14.5")
    assert await owed(grades) == []
    async with grades.transaction() as connection:
        await usecases.publish(connection, TEACHER, found.id)
    told = await owed(grades)
    assert sorted((kind, audience) for kind, audience, _ in told) == [
        ("published", "guardians"),
        ("published", "pupils"),
    ]
    assert {data["mark"]["score"] for _, _, data in told} == {"14.5"}
    async with grades.transaction() as connection:
        await usecases.publish(connection, TEACHER, found.id)
        await put(connection, found.id, "14.50")
    assert await owed(grades) == []


async def test_a_correction_names_what_it_supersedes_and_keeps_its_history(grades: Database) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
        await usecases.publish(connection, TEACHER, found.id)
        await put(connection, found.id, "9")
    async with grades.connection() as connection:
        headers = [dict(json.loads(r["headers"])) for r in await connection.fetch("SELECT headers FROM outbox")]
    first = {h["ce_audience"]: h["ce_id"] for h in headers}
    await owed(grades)
    async with grades.transaction() as connection:
        await put(connection, found.id, "19", reason="Erreur de saisie")
    told = await owed(grades)
    assert {(kind, data["old"]["score"], data["new"]["score"]) for kind, _, data in told} == {("corrected", "9", "19")}
    assert {audience: data["supersedes"] for _, audience, data in told} == first
    async with grades.connection() as connection:
        changes = await store.history(connection, found.id, uid("zoé"))
    assert [(c["old"] and c["old"]["score"], c["new"]["score"], c["reason"]) for c in changes] == [
        (None, "9", None),
        ("9", "19", "Erreur de saisie"),
    ]


async def test_a_due_time_is_reached_once_and_for_its_audience_alone(grades: Database) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    later = datetime.now(UTC) + timedelta(days=1)
    async with grades.transaction() as connection:
        found = await create(connection, pupils_due=soon, guardians_due=later)
        await put(connection, found.id, "12")
        await usecases.publish(connection, TEACHER, found.id)
    assert await owed(grades) == []
    timers = [asyncio.create_task(Timers(grades, {usecases.DUE: usecases.due}).run()) for _ in range(2)]
    async with asyncio.timeout(10):
        while not (told := await owed(grades)):  # noqa: ASYNC110 - the database is asked, nothing tells of it
            await asyncio.sleep(0.02)
    for timer in timers:
        timer.cancel()
    await asyncio.gather(*timers, return_exceptions=True)
    assert [(kind, audience) for kind, audience, _ in told] == [("published", "pupils")]
    assert timedelta(0) <= datetime.fromisoformat(told[0][2]["at"]) - soon < timedelta(seconds=1)
    assert await owed(grades) == []
    async with grades.connection() as connection:
        left = await connection.fetch("SELECT subject FROM timers")
        seen = await store.seen_grades(connection, uid("zoé"), "guardians", None, 10)
    assert [row["subject"] for row in left] == [f"{found.id}/guardians"]
    assert seen == []


async def test_withdrawal_tells_who_saw_it_and_publishing_again_shows_it_again(grades: Database) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
        await put(connection, found.id, "12")
        await usecases.publish(connection, TEACHER, found.id)
    await owed(grades)
    async with grades.transaction() as connection:
        await usecases.withdraw(connection, TEACHER, found.id)
    assert {kind for kind, _, _ in await owed(grades)} == {"withdrawn"}
    async with grades.transaction() as connection:
        await usecases.publish(connection, TEACHER, found.id)
    assert {kind for kind, _, _ in await owed(grades)} == {"published"}


@pytest.mark.parametrize("who", ["other teacher", "head", "mother", "zoé", "nobody"])
async def test_only_a_teacher_of_the_group_writes(grades: Database, who: str) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
    caller = Caller(person=uid(who))
    attempts: list[Callable[[Connection], Awaitable[Assessment]]] = [
        lambda c: usecases.create_assessment(c, caller, dict(BODY)),
        lambda c: usecases.publish(c, caller, found.id),
        lambda c: usecases.put_marks(c, caller, found.id, [uid("zoé")], [Mark(Decimal(1))], None),
    ]
    for work in attempts:
        with pytest.raises(Refused) as refused:
            async with grades.transaction() as connection:
                await work(connection)
        assert refused.value.status == 404
    async with grades.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM marks") == 0


@pytest.mark.parametrize(
    ("who", "audience"),
    [("zoé", "pupils"), ("mother", "guardians"), ("father", "guardians"), ("head", "staff"), ("nanny", None),
     ("neighbour", None), ("other mother", None), ("ali", None), ("other teacher", None)],
)  # fmt: skip
async def test_who_sees_a_pupils_grades_and_as_whom(grades: Database, who: str, audience: str | None) -> None:
    async with grades.transaction() as connection:
        if audience is None:
            with pytest.raises(Refused):
                await usecases.audience_of(connection, Caller(person=uid(who)), uid("zoé"))
        else:
            assert await usecases.audience_of(connection, Caller(person=uid(who)), uid("zoé")) == audience


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"held_on": date(2027, 8, 1)}, "held_on", "within-term"),
        ({"term": uid("nowhere")}, "term", "of-the-year"),
        ({"subject": "LATIN"}, "subject", "taught"),
    ],
)
async def test_a_bad_assessment_names_field_and_rule(
    grades: Database, changes: dict[str, Any], field: str, rule: str
) -> None:
    with pytest.raises(Problem) as problem:
        async with grades.transaction() as connection:
            await create(connection, **changes)
    assert [(e.field, e.rule) for e in problem.value.errors] == [(field, rule)]


async def test_concurrent_writers_of_one_pupil_draw_ids_in_commit_order(grades: Database) -> None:
    async with grades.transaction() as connection:
        ids = [(await create(connection, title=f"n° {n}")).id for n in range(4)]
        for id in ids:
            await usecases.publish(connection, TEACHER, id)

    async def one(id: UUID, score: int) -> tuple[int, int]:
        async with grades.transaction() as connection:
            await put(connection, id, str(score))
            last = await connection.fetchval("SELECT max(id) FROM outbox WHERE xmin = pg_current_xact_id()::xid")
            number = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        return last, number

    await asyncio.gather(*(one(ids[n % 4], n) for n in range(12)))
    told = await owed(grades)
    latest: dict[tuple[str, str], str] = {}
    for kind, audience, data in told:
        name = (data["grade"], audience)
        before = latest.get(name)
        if kind == "corrected":
            assert data["old"]["score"] == before
            latest[name] = data["new"]["score"]
        else:
            assert before is None
            latest[name] = data["mark"]["score"]


async def test_writers_of_one_assessment_wait_for_one_another_over_one_pupil_alone(grades: Database) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
    impatient = "SET LOCAL lock_timeout = '50ms'; "

    async def write(pupil: str) -> None:
        async with grades.transaction(impatient + usecases.marks_locks(found.id, [uid(pupil)])) as connection:
            await usecases.put_marks(connection, TEACHER, found.id, [uid(pupil)], [Mark(Decimal(1))], None)

    async def publish() -> None:
        async with grades.transaction(impatient) as connection:
            await usecases.publish(connection, TEACHER, found.id)

    async with grades.transaction(usecases.marks_locks(found.id, [uid("zoé")])):
        await write("ali")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await write("zoé")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await publish()
    await write("zoé")
    await publish()


async def test_what_is_said_again_is_what_was_told_last(grades: Database) -> None:
    async with grades.transaction() as connection:
        found = await create(connection)
        await usecases.publish(connection, TEACHER, found.id)
        await put(connection, found.id, "9", "ali")
        await put(connection, found.id, "9")
    first = await sent(grades)
    async with grades.transaction() as connection:
        await put(connection, found.id, "19")
        gone = await create(connection, title="Retiré")
        await usecases.publish(connection, TEACHER, gone.id)
        await put(connection, gone.id, "3")
        await usecases.withdraw(connection, TEACHER, gone.id)
    told = first | await sent(grades)
    async with grades.transaction() as connection:
        await replays.begin(connection, "feed-2")
    walk = replays.Replays(grades, usecases.VISIBLE, batch=3)
    while await walk.step():
        pass
    again = await sent(grades)
    assert len(again) == 4
    assert again == {id: told[id] for id in again}
    assert sorted(kind for kind, _ in again.values()) == sorted(
        ["grades.grade.published.v1", "grades.grade.corrected.v1"] * 2
    )


async def sent(database: Database) -> dict[str, tuple[str, bytes]]:
    """Type and data of each event in the outbox by its id; the outbox is emptied."""
    async with database.transaction() as connection:
        rows = await connection.fetch("DELETE FROM outbox RETURNING headers, value")
    headers = [dict(json.loads(row["headers"])) for row in rows]
    return {one["ce_id"]: (one["ce_type"], row["value"]) for one, row in zip(headers, rows, strict=True)}
