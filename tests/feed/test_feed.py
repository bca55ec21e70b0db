"""The feed: wording, items of facts, the history by page and by cursor on a real PostgreSQL."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from chassis.audit import Refused
from chassis.consumer import Received
from chassis.cursor import BadCursor, Cursors
from chassis.database import Database
from chassis.identity import Caller
from chassis.problems import Problem
from contracts.catalogue import EVENTS, example
from contracts.directory import Subject
from contracts.envelope import Audience, Event, from_headers, to_headers
from contracts.feed import Category, Coded, ItemPut, ItemRemoved, Score, Text, item_id, pupil_scope, topic_of
from contracts.grades import AssessmentRef, GradeCode, GradeCorrected, GradePublished, GradeWithdrawn, Mark
from roster.replica import ROSTER
from services.feed import domain, store, usecases
from services.feed.api import _place
from services.feed.app import MIGRATIONS
from tests.conftest import open_database
from tests.rosters import UAI, fill, received, small_school, uid
from wording import grades as wording

START = datetime(2026, 11, 23, 8, tzinfo=UTC)


def published() -> GradePublished:
    return GradePublished.model_validate_json(example("grades.grade.published.v1"))


def corrected() -> GradeCorrected:
    return GradeCorrected.model_validate_json(example("grades.grade.corrected.v1"))


def item_of(event: Event) -> Any:
    """The item as its readers have it, who hold it against its contract."""
    came = received("pupils/x", event, source="/grades")
    assert came.value is not None
    made = domain.item_of(came.envelope, came.value)
    assert made is not None
    return made.event.model_validate_json(to_json(made.fields))


def test_families_read_french_first() -> None:
    item = item_of(published())
    assert item.title == Text(fr="Mathématiques\u202f: 14,5/20", en="Mathématiques: 14.5/20")
    assert item.summary.fr == "Contrôle de géométrie · coefficient 2\n«\u202fBon travail\u202f»"


def test_the_figure_is_a_field_of_its_own() -> None:
    fact = published()
    label = fact.assessment.subject.label
    assert item_of(fact).figure == Score(label=label, value="14.5", out_of="20")
    none = fact.model_copy(update={"mark": Mark(code=GradeCode.ABSENT)})
    assert item_of(none).figure == Coded(label=label, code="absent")


NAMES = st.text(min_size=1, max_size=255)
POINTS = st.decimals(0, 1000, places=3)
TIMES = st.datetimes(timezones=st.just(UTC))
ASSESSMENTS = st.builds(
    AssessmentRef,
    title=NAMES,
    subject=st.builds(Subject, code=st.text(min_size=1, max_size=64), label=NAMES),
    out_of=POINTS,
    coefficient=POINTS,
    optional=st.booleans(),
    bonus=st.booleans(),
)
COMMENTS = st.none() | st.text(max_size=2000)
MARKS = st.builds(Mark, score=POINTS, comment=COMMENTS) | st.builds(
    Mark, code=st.sampled_from(GradeCode), comment=COMMENTS
)


@given(st.data(), st.sampled_from((GradePublished, GradeCorrected, GradeWithdrawn)))
@settings(max_examples=200)
def test_every_fact_makes_an_item_that_keeps_its_contract(data: st.DataObject, kind: type[Event]) -> None:
    values = {
        "uai": st.just(UAI),
        "assessment": ASSESSMENTS,
        "at": TIMES,
        "first_published_at": TIMES,
        "mark": MARKS,
        "old": MARKS,
        "new": MARKS,
    }
    fact: Any = data.draw(st.builds(kind, **{name: one for name, one in values.items() if name in kind.model_fields}))
    item = item_of(fact)
    assert isinstance(item, ItemRemoved if kind is GradeWithdrawn else ItemPut)
    assert item.updated_at == fact.at


@given(st.decimals(0, 1000, places=3))
def test_every_score_fits_the_figure(score: Decimal) -> None:
    digits = Score(label="Maths", value=wording.digits(score), out_of="20").value
    assert Decimal(digits) == score


def test_a_correction_replaces_its_item_and_says_what_it_was() -> None:
    before, after = item_of(published()), item_of(corrected())
    assert (after.id, after.published_at) == (before.id, before.published_at)
    assert after.corrected
    assert "corrigé, avant\u202f: 14,5/20" in after.summary.fr


@pytest.mark.parametrize("code", GradeCode)
def test_every_code_has_words(code: GradeCode) -> None:
    assert all(wording.mark(Mark(code=code), Decimal(20), language) for language in ("fr", "en"))


def test_a_type_of_the_future_is_none_of_the_feeds_business() -> None:
    assert domain.item_of(received("k", EVENTS["directory.beat.v1"]()).envelope, b"{}") is None


@given(st.integers(1, 9), st.none() | st.integers(1, 9))
def test_a_replay_is_for_the_generation_that_asked_alone(generation: int, asked: int | None) -> None:
    came = received("pupils/x", published(), source="/grades")
    again = came.envelope._replace(replay=asked is not None, replay_for=f"feed-{asked}" if asked else None)
    came.record.headers = to_headers(again)
    made = usecases.turner(generation)(came._replace(envelope=again))
    if asked in (None, generation):
        assert made is not None
        told = again._replace(type=ItemPut.TYPE, source="/feed", key="grades:pupils/x")
        assert (made.topic, from_headers(made.headers, made.key)) == (topic_of(generation), told)
    else:
        assert made is None


def put(number: int, pupil: str = "zoé", audience: Audience = Audience.GUARDIANS, **changes: Any) -> ItemPut:
    at = START + timedelta(minutes=number)
    values: dict[str, Any] = {
        "id": uid(f"item {number} {audience}"),
        "scope": pupil_scope(uid(pupil)),
        "audience": audience,
        "uai": UAI,
        "school_year": 2027,
        "category": Category.GRADES,
        "title": Text(fr=f"Note {number}", en=f"Grade {number}"),
        "summary": Text(fr="", en=""),
        "published_at": at,
        "updated_at": at,
    }
    return ItemPut(**(values | changes))


def removed(item: ItemPut) -> ItemRemoved:
    return ItemRemoved(
        id=item.id,
        scope=item.scope,
        audience=item.audience,
        uai=UAI,
        category=item.category,
        updated_at=item.updated_at,
    )


def at(offset: int, event: Event, sequence: int | None = None) -> Received:
    came = received("grades:pupils/x", event, source="/feed", sequence=offset if sequence is None else sequence)
    came.record.offset = offset
    return came


@pytest.fixture
async def history(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, ROSTER, MIGRATIONS)
    async with database.transaction() as connection:
        await fill(connection, *small_school())
        await store.remember_lineage(connection)
    yield database
    await database.close()


async def keep(database: Database, *events: Received) -> None:
    async with database.transaction() as connection:
        await usecases.keep(connection, events, 1)


async def test_generations_stand_beside_one_another_and_a_retired_one_goes(history: Database) -> None:
    one = put(1)
    await keep(history, at(0, one), at(1, put(2)))
    async with history.transaction() as connection:
        await store.begin(connection, 2)
        await usecases.keep(connection, [at(0, one)], 2)
        await usecases.keep(connection, [at(1, removed(one)), at(2, put(3))], 2)
        before = await store.generations(connection)
        await store.retire(connection, 1)
        await store.serve(connection, 2)
    await keep(history, at(2, put(4)))
    assert [(g.generation, g.state, g.items) for g in before] == [(1, "serving", 2), (2, "building", 1)]
    async with history.transaction() as connection:
        while await store.remove_some(connection, 1, ("feed-projector", "feed-history"), 1):
            pass
        assert [(g.generation, g.items) for g in await store.generations(connection)] == [(2, 1)]
        assert await connection.fetchval("SELECT count(*) FROM items") == 2
        assert [i.id for i in await store.page(connection, SCOPES, None, None, 10, 2)] == [put(3).id]


SCOPES = [f"guardians:pupils/{uid('zoé')}"]


async def test_pages_walk_the_whole_history_once_latest_first(history: Database) -> None:
    await keep(history, *(at(n, put(n)) for n in range(25)), at(25, put(99, audience=Audience.PUPILS)))
    found: list[UUID] = []
    before = None
    async with history.connection() as connection:
        while page := await store.page(connection, SCOPES, before, None, 10, 1):
            found += [item.id for item in page]
            before = (page[-1].published_at, page[-1].id)
    assert found == [put(n).id for n in reversed(range(25))]


async def test_a_correction_is_caught_up_with_and_a_removal_too(history: Database) -> None:
    first, second = put(1), put(2)
    await keep(history, at(0, first), at(1, second))
    await keep(history, at(2, put(1, corrected=True)), at(3, removed(second)))
    async with history.connection() as connection:
        changed = await store.changes(connection, SCOPES, 1, None, 10, 1)
        page = await store.page(connection, SCOPES, None, None, 10, 1)
        state = await store.serving(connection)
    assert [(i.id, i.position, i.removed) for i in changed] == [(first.id, 2, False), (second.id, 3, True)]
    assert [i.id for i in page] == [first.id]
    assert state == store.Generation(1, "serving", 3, 1)


async def test_a_batch_with_several_states_of_an_item_keeps_the_last(history: Database) -> None:
    one = put(1)
    await keep(history, at(0, one), at(1, removed(one)), at(2, put(1, corrected=True)))
    async with history.connection() as connection:
        assert [i.position for i in await store.page(connection, SCOPES, None, None, 10, 1)] == [2]


async def test_what_comes_again_or_late_changes_nothing(history: Database) -> None:
    first, second = put(1), put(2)
    now = at(1, put(1, corrected=True))
    await keep(history, at(0, first), now, at(2, second))
    late = [at(3, first, sequence=0), at(4, removed(second), sequence=1), at(5, second, sequence=2)]
    await keep(history, *late)
    await keep(history, at(6, put(3)), at(7, removed(put(3)), sequence=5))
    async with history.connection() as connection:
        page = await store.page(connection, SCOPES, None, None, 10, 1)
        state = await store.serving(connection)
    assert [(i.id, i.position) for i in page] == [(put(3).id, 6), (second.id, 2), (first.id, 1)]
    assert page[-1].body == now.value
    assert state == store.Generation(1, "serving", 7, 3)


@pytest.mark.parametrize(("who", "reads"), [("mother", True), ("father", True), ("neighbour", False), ("ali", False)])
async def test_a_child_is_read_by_who_may(history: Database, who: str, reads: bool) -> None:
    async with history.connection() as connection:
        if reads:
            reading = await usecases.reading(connection, Caller(person=uid(who)), uid("zoé"))
            assert SCOPES[0] in reading.wanted
        else:
            with pytest.raises(Refused):
                await usecases.reading(connection, Caller(person=uid(who)), uid("zoé"))


def test_a_cursor_of_other_scopes_or_another_generation_is_reset() -> None:
    cursors = Cursors(b"s" * 32)
    reader = usecases.Reading(uid("mother"), frozenset({"a"}), ["a"])
    own = cursors.reader(str(reader.person), reader.held)
    assert usecases.place(cursors, cursors.issue(1, 7, own), reader, 1) == 7
    for text in (cursors.issue(2, 7, own), cursors.issue(1, 7, cursors.reader(str(reader.person), {"b"}))):
        with pytest.raises(usecases.CursorReset):
            usecases.place(cursors, text, reader, 1)


@given(st.integers(0, 65535), st.integers(-1, 2**40), st.text(max_size=20))
@settings(max_examples=50)
def test_a_cursor_says_what_it_was_made_of_and_no_byte_of_it_can_be_changed(
    generation: int, offset: int, who: str
) -> None:
    cursors = Cursors(b"s" * 32)
    text = cursors.issue(generation, offset, cursors.reader(who, []))
    read = cursors.read(text)
    assert (read.generation, read.offset) == (generation, offset)
    with pytest.raises(BadCursor):
        Cursors(b"t" * 32).read(text)
    for index in range(text.index(".") - 1):
        forged = text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1 :]
        with pytest.raises(BadCursor):
            cursors.read(forged)


def test_ids_are_of_fact_and_audience() -> None:
    fact = uuid4()
    assert item_id(fact, Audience.PUPILS) != item_id(fact, Audience.GUARDIANS)


def test_the_place_of_a_page_that_no_table_can_hold_is_refused() -> None:
    text = f"0001-01-01T00:00:00+14:00|{uid('item')}"
    with pytest.raises(Problem) as refused:
        _place(base64.urlsafe_b64encode(text.encode()).decode())
    assert (refused.value.status, refused.value.code) == (400, "bad-cursor")
