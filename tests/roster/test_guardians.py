"""Who may be told of a pupil, and causes that come before effects, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from chassis.consumer import Received
from chassis.database import Connection, Database
from contracts.directory import Beat, LinkKind, Role, RoleName
from contracts.grades import SOURCE
from roster import store
from roster.causality import CauseFirst, DirectoryBehind
from tests.rosters import UAI, adult, fill, link, pupil, received, school, small_school, uid

DAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCOPE = f"guardians:pupils/{uid('zoé')}"


async def told(database: Database, now: datetime = DAY) -> set[str]:
    async with database.connection() as connection:
        readers = await store.guardians(connection, [uid("zoé"), uid("ali")], now)
    names = ("mother", "father", "nanny", "neighbour", "other mother")
    return {name for name in names if uid(name) in readers.of.get(SCOPE, frozenset())}


async def learn(database: Database, *documents: object) -> None:
    async with database.transaction() as connection:
        await fill(connection, *documents)  # type: ignore[arg-type]


async def test_guardians_are_those_whose_link_reads(database: Database) -> None:
    await learn(database, *small_school())
    assert await told(database) == {"mother", "father"}
    await learn(database, school(opened_to=[LinkKind.PERSON_IN_CHARGE]))
    assert await told(database) == {"mother", "father", "nanny"}


async def test_a_day_is_the_schools(database: Database) -> None:
    await learn(database, *small_school(), pupil("zoé", [link("mother", ends=date(2026, 11, 24)), link("father")]))
    assert await told(database, datetime(2026, 11, 23, 22, 59, tzinfo=UTC)) == {"mother", "father"}
    assert await told(database, datetime(2026, 11, 23, 23, 1, tzinfo=UTC)) == {"father"}


async def test_who_has_left_is_told_nothing_nor_of_who_has(database: Database) -> None:
    await learn(database, *small_school(), adult("mother").model_copy(update={"ended": True}))
    assert await told(database) == {"father"}
    left = pupil("zoé", [link("father")], roles=[Role(name=RoleName.PUPIL, uai=UAI, ends=date(2026, 11, 1))])
    await learn(database, left)
    assert await told(database) == set()


def fact(position: int | None) -> Received:
    one = received("pupils/x", Beat(), source=SOURCE)
    return one._replace(envelope=one.envelope._replace(directory_position=position))


async def test_a_fact_waits_for_its_cause(database: Database) -> None:
    handled: list[Received] = []
    waited = asyncio.Event()

    async def handle(connection: Connection, events: Sequence[Received]) -> None:
        handled.extend(events)

    async def take(effect: CauseFirst, *events: Received) -> None:
        async with database.transaction() as connection:
            await effect(connection, events)

    cause = received("people/x", None)
    assert cause.envelope.sequence is not None
    effect = CauseFirst(handle, waited.set)
    taking = asyncio.create_task(take(effect, fact(None), fact(cause.envelope.sequence)))
    await asyncio.wait_for(waited.wait(), 10)
    assert handled == []
    async with database.transaction() as connection:
        await store.advance(connection, cause.envelope.sequence)
    await asyncio.wait_for(taking, 10)
    assert len(handled) == 2
    impatient = CauseFirst(handle, waited.set, patience=0.1)
    for _ in range(2):
        with pytest.raises(DirectoryBehind):
            await take(impatient, fact(cause.envelope.sequence + 1))
    await take(impatient, fact(cause.envelope.sequence))
    assert len(handled) == 3
