"""Who may be told of a pupil, and causes that come before effects, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from chassis.consumer import Received
from chassis.database import Connection, Database, Unavailable
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


class Taking:
    """Facts given to a handler that lets effects wait for their causes."""

    def __init__(self, database: Database, **options: float) -> None:
        self.handled: list[Received] = []
        self.waited = asyncio.Event()
        self._database = database
        self._effect = CauseFirst(self._handle, self.waited.set, **options)

    async def _handle(self, connection: Connection, events: Sequence[Received]) -> None:
        self.handled.extend(events)

    async def take(self, *positions: int | None) -> None:
        async with self._database.transaction() as connection:
            await self._effect(connection, [fact(position) for position in positions])

    async def take_at_last(self, *positions: int | None) -> None:
        """Take them as the inbox does: again while the infrastructure, here the directory, is away."""
        while True:
            with contextlib.suppress(Unavailable):
                return await self.take(*positions)


async def hear(database: Database, position: int) -> None:
    async with database.transaction() as connection:
        await store.advance(connection, position)


async def beat(database: Database, position: int) -> None:
    """Have the replica hear of the directory for ever, which says nothing new."""
    while True:
        await hear(database, position)
        await asyncio.sleep(0.01)


async def test_a_fact_waits_for_its_cause(database: Database) -> None:
    taking = Taking(database)
    task = asyncio.create_task(taking.take(None, 7))
    await asyncio.wait_for(taking.waited.wait(), 10)
    assert taking.handled == []
    await hear(database, 7)
    await asyncio.wait_for(task, 10)
    assert len(taking.handled) == 2


async def test_a_cause_that_does_not_come_is_an_events_fault_where_the_directory_goes_on(database: Database) -> None:
    impatient = Taking(database, patience=0.1)
    beating = asyncio.create_task(beat(database, 7))
    try:
        with pytest.raises(DirectoryBehind):
            await impatient.take_at_last(8, 9)
        # It was waited for once, and is not again: not once the directory was heard of since.
        for position in (8, 9):
            async with asyncio.timeout(10):
                while impatient.waited.is_set():
                    impatient.waited.clear()
                    with pytest.raises(DirectoryBehind):
                        await impatient.take_at_last(position)
            impatient.waited.set()
    finally:
        beating.cancel()
    await impatient.take(7)
    assert len(impatient.handled) == 1


async def test_a_cause_is_waited_for_however_long_the_directory_is_silent(database: Database) -> None:
    patient = Taking(database, patience=0.1)
    await hear(database, 7)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await patient.take(8)
    await hear(database, 8)
    await patient.take(8)
    assert len(patient.handled) == 1
