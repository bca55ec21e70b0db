"""Who was in a pupil's class with them, term by term, and in which groups these pupils are."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from chassis.database import Database
from contracts.directory import GroupKind, Membership, Term
from roster import store
from tests.rosters import UAI, fill, group, pupil, school, uid

AUTUMN, WINTER, OLD = uid("autumn"), uid("winter"), uid("old")
NEW_YEAR, FEBRUARY = date(2027, 1, 1), date(2027, 2, 1)


def place(name: str, starts: date | None = None, ends: date | None = None) -> Membership:
    return Membership(group=uid(name), uai=UAI, starts=starts, ends=ends)


async def fill_school(database: Database, *more: str) -> None:
    """Two terms of this year and one of the last; two classes, a group across both, last year's class and group."""
    terms = [
        Term(id=AUTUMN, title="1", school_year=2027, starts=date(2026, 9, 1), ends=NEW_YEAR),
        Term(id=WINTER, title="2", school_year=2027, starts=NEW_YEAR, ends=date(2027, 7, 1)),
        Term(id=OLD, title="1", school_year=2026, starts=date(2025, 9, 1), ends=date(2026, 7, 1)),
    ]
    across = group("Latin").model_copy(update={"kind": GroupKind.GROUP})
    last = [group(name).model_copy(update={"school_year": 2026}) for name in ("4A", "Chess")]
    last[1] = last[1].model_copy(update={"kind": GroupKind.GROUP})
    pupils = [
        pupil("zoé", memberships=[place("3A"), place("4A"), place("Chess")]),
        pupil("ali", memberships=[place("3A"), place("Latin"), place("Chess")]),
        pupil("bea", memberships=[place("3A", ends=NEW_YEAR), place("3B", NEW_YEAR), place("4A")]),
        pupil("cyd", memberships=[place("3A", FEBRUARY)]),
        pupil("dan", memberships=[place("3B"), place("Latin")]),
        pupil("eva", memberships=[place("3A")], ended="eva" in more),
    ]
    async with database.transaction() as connection:
        await fill(connection, school(terms=terms), group("3A"), group("3B"), across, *last, *pupils)


async def mates(database: Database, name: str, year: int = 2027) -> dict[UUID, set[UUID]]:
    async with database.connection() as connection:
        found = (await store.classmates(connection, uid(name), year)).by_term
    return {term: set(pupils) for term, pupils in found.items()}


def people(*names: str) -> set[UUID]:
    return {uid(name) for name in names}


async def test_classmates_are_who_is_in_the_class_on_a_day_of_the_term_with_the_pupil(database: Database) -> None:
    await fill_school(database)
    assert await mates(database, "zoé") == {
        AUTUMN: people("zoé", "ali", "bea", "eva"),
        WINTER: people("zoé", "ali", "cyd", "eva"),
    }
    assert await mates(database, "bea") == {AUTUMN: people("zoé", "ali", "bea", "eva"), WINTER: people("bea", "dan")}
    assert await mates(database, "cyd") == {WINTER: people("zoé", "ali", "cyd", "eva")}


async def test_each_school_year_has_its_class(database: Database) -> None:
    await fill_school(database)
    assert await mates(database, "zoé", 2026) == {OLD: people("zoé", "bea")}
    assert await mates(database, "zoé", 2025) == await mates(database, "stranger") == {}


async def test_who_has_left_is_nobodys_classmate(database: Database) -> None:
    await fill_school(database, "eva")
    assert await mates(database, "zoé") == {AUTUMN: people("zoé", "ali", "bea"), WINTER: people("zoé", "ali", "cyd")}


async def test_the_groups_are_those_of_all_classmates_in_that_year(database: Database) -> None:
    await fill_school(database)
    async with database.connection() as connection:
        assert (await store.classmates(connection, uid("zoé"), 2027)).groups == people("3A", "3B", "Latin")
        assert (await store.classmates(connection, uid("zoé"), 2026)).groups == people("4A", "Chess")
        assert (await store.classmates(connection, uid("stranger"), 2027)).groups == frozenset()
