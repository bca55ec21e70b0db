"""What a person may see: pure rules, and the same answer from the replica in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.database import Database
from contracts.directory import LinkKind, person_key, school_key
from roster import replica, store
from roster.facts import parse
from roster.scopes import from_document, held, today
from tests.rosters import UAI, adult, fill, link, pupil, received, school, small_school, uid

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seen(person: str, kind: LinkKind, **dates: date) -> frozenset[str]:
    schools = {UAI: parse(school_key(UAI), school().model_dump_json())}
    document = pupil("zoé", [link("mother", kind, **dates)]).model_dump_json()
    return held(from_document(person_key(uid("zoé")), document, uid(person), schools), schools, NOW)  # type: ignore[arg-type]


def test_a_legal_guardian_sees_the_pupil_the_class_and_the_school_as_guardian() -> None:
    assert seen("mother", LinkKind.LEGAL_GUARDIAN) == {
        f"guardians:pupils/{uid('zoé')}",
        f"guardians:groups/{uid('3A')}",
        f"guardians:schools/{UAI}",
    }


def test_a_pupil_sees_as_pupil_alone() -> None:
    assert {scope.split(":")[0] for scope in seen("zoé", LinkKind.CONTACT)} == {"pupils"}


@pytest.mark.parametrize("kind", [LinkKind.CONTACT, LinkKind.PERSON_IN_CHARGE])
def test_who_has_no_authority_sees_nothing(kind: LinkKind) -> None:
    assert seen("mother", kind) == frozenset()


@given(st.dates(date(2026, 11, 1), date(2026, 12, 31)), st.integers(0, 40))
def test_a_dated_right_holds_from_its_first_day_until_before_its_last(starts: date, days: int) -> None:
    ends = starts + timedelta(days=days)
    expected = starts <= date(2026, 11, 23) < ends
    assert bool(seen("mother", LinkKind.LEGAL_GUARDIAN, starts=starts, ends=ends)) == expected


def test_the_day_is_that_of_the_schools_zone() -> None:
    schools = {UAI: parse(school_key(UAI), school(zone="Pacific/Auckland").model_dump_json())}
    assert today(UAI, schools, NOW) == date(2026, 11, 24)  # type: ignore[arg-type]


async def scopes_of(database: Database, person: UUID) -> frozenset[str]:
    async with database.connection() as connection:
        return (await store.read_scopes(connection, person)).held(NOW)


async def test_the_replica_answers_as_the_rule_does(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school())
    assert await scopes_of(database, uid("mother")) == seen("mother", LinkKind.LEGAL_GUARDIAN)
    assert await scopes_of(database, uid("neighbour")) == frozenset()
    assert await scopes_of(database, uid("teacher")) == {f"staff:groups/{uid('3A')}", f"staff:schools/{UAI}"}


async def test_many_are_answered_as_each_alone(database: Database) -> None:
    people = [uid(name) for name in ("mother", "neighbour", "teacher", "nanny", "nobody")]
    async with database.transaction() as connection:
        await fill(connection, *small_school())
    async with database.connection() as connection:
        together = await store.read_scopes_of(connection, people)
        apart = {person: await store.read_scopes(connection, person) for person in people}
    assert {who: read.by_key for who, read in together.items()} == {who: read.by_key for who, read in apart.items()}
    assert {read.position for read in together.values()} == {read.position for read in apart.values()}


async def test_no_look_at_one_person_reads_the_whole_directory(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school(), *(adult(f"adult {number}") for number in range(2000)))
        await connection.execute("ANALYZE roster_documents, roster_mentions")
        read = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname = 'roster_documents'"
        before = await connection.fetchval(read)
        await store.read_scopes(connection, uid("mother"))
        assert await connection.fetchval(read) - before < 100


async def test_a_withdrawn_link_an_ended_person_and_a_tombstone_take_every_right(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school(), pupil("zoé", [link("father")]))
    assert await scopes_of(database, uid("mother")) == frozenset()
    assert await scopes_of(database, uid("father")) != frozenset()
    async with database.transaction() as connection:
        await fill(connection, pupil("zoé", [link("father")], ended=True))
    assert await scopes_of(database, uid("father")) == frozenset()
    async with database.transaction() as connection:
        await fill(connection, pupil("zoé", [link("father")]))
        await replica.apply(connection, [received(person_key(uid("zoé")), None)])
    assert await scopes_of(database, uid("father")) == frozenset()


async def test_a_guardian_who_has_left_sees_nothing_while_a_link_still_stands(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school(), adult("mother").model_copy(update={"ended": True}))
    assert await scopes_of(database, uid("mother")) == frozenset()
    assert await scopes_of(database, uid("father")) != frozenset()


async def test_a_school_may_open_its_data_to_a_person_in_charge(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school(), school(opened_to=[LinkKind.PERSON_IN_CHARGE]))
    assert f"guardians:pupils/{uid('zoé')}" in await scopes_of(database, uid("nanny"))
    assert await scopes_of(database, uid("neighbour")) == frozenset()


async def test_the_position_is_the_greatest_sequence_applied(database: Database) -> None:
    async with database.transaction() as connection:
        before = await store.position(connection)
        await fill(connection, adult("someone"), adult("else"))
        after = await store.position(connection)
        scopes = await store.read_scopes(connection, uid("someone"))
    assert before < after == scopes.position


async def test_the_replica_keeps_no_name(database: Database) -> None:
    async with database.transaction() as connection:
        await fill(connection, *small_school())
        texts = await connection.fetch("SELECT facts::text FROM roster_documents WHERE key LIKE 'people/%'")
    assert texts
    assert not any("given_name" in row[0] or "Test" in row[0] for row in texts)


async def test_what_the_replica_has_heard_of_is_known_by_its_place(database: Database) -> None:
    one, two, three = (received(f"people/{uid(name)}", None, sequence=n) for n, name in enumerate("abc", 1))
    beat = three._replace(envelope=three.envelope._replace(sequence=None))
    async with database.transaction() as connection:
        assert await replica.fresh(connection, "", [one, two, one]) == [one, two]
        await replica.apply(connection, [one, two])
    async with database.transaction() as connection:
        assert await replica.fresh(connection, "", [one, two, beat, three, three]) == [beat, three]
