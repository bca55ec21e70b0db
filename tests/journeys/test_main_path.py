"""The main job: a class's grades reach the right families, when they are due, in order, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from cli import demo_school as school
from cli.demo.cast import rights_of
from cli.demo.stage import Stage
from cli.demo.steps import STEPS
from tests.journeys.openings import opened

LEA = str(school.PUPIL.id)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_each_step_of_the_demo_does_what_it_should(stage: Stage, step: Callable[[Stage], Awaitable[str]]) -> None:
    await step(stage)


async def test_a_correction_between_two_due_times_is_a_correction_to_one_and_news_to_the_other(stage: Stage) -> None:
    desk, title = stage.desks["6e1"], stage.title("Corrigé avant")
    assessment = await desk.assessment(title, guardians_due=time.time() + 3)
    await desk.mark(assessment, {LEA: Decimal(7)})
    await stage.expect(lambda: stage.got(school.PUPIL, title) == ["7/20"], "the pupil has the first mark")
    await desk.mark(assessment, {LEA: Decimal(8)})
    await stage.expect(lambda: stage.got(school.PUPIL, title) == ["7/20", "8/20"], "the pupil has the correction")
    assert stage.got(school.PARENT, title) == []
    await stage.expect(lambda: stage.got(school.PARENT, title) == ["8/20"], "the guardian has the corrected mark alone")
    page = await stage.cast.members[school.PARENT.login].api.get("/v1/feed")
    assert [item["corrected"] for item in page["items"] if title in item["summary"]["fr"]] in ([], [False])


async def test_a_withdrawn_mark_leaves_streams_and_history(stage: Stage) -> None:
    desk, title = stage.desks["6e1"], stage.title("Annulé")
    assessment = await desk.assessment(title)
    await desk.mark(assessment, {LEA: Decimal(7)})
    await stage.expect_all("the mark is there")
    await desk.withdraw(assessment, LEA)
    await stage.expect(lambda: stage.got(school.PARENT, title) == ["7/20", None], "it is gone")
    await stage.expect_all("it is gone everywhere")
    parent = stage.cast.members[school.PARENT.login].api

    async def gone() -> bool:
        return not [i for i in (await parent.get("/v1/feed"))["items"] if title in i["summary"]["fr"]]

    await stage.poll(gone, "the history forgets it")


async def test_page_and_stream_from_its_cursor_miss_nothing_while_grades_are_posted(stage: Stage) -> None:
    """Whenever the page is read between two writes, the page and its stream together have every write once."""
    desk, reader = stage.desks["6e1"], stage.reader(school.PARENT)
    for number in range(8):
        await reader.hang_up()
        assessment = await desk.assessment(stage.title(f"Page {number}"))
        await desk.mark(assessment, {LEA: Decimal(number)})
        # The next opening begins with a page, at whatever moment the write is on its way.
        reader.cursor = None
        reader.open()
    await stage.expect_all("every grade is on the page or on the stream")


async def test_both_workers_give_the_same(stage: Stage) -> None:
    desk, member = stage.desks["6e1"], stage.cast.members[school.PARENT.login]
    async with opened(stage, member, 2) as readers:
        assert len({reader.worker for reader in readers}) == 2
        for number in range(5):
            assessment = await desk.assessment(stage.title(f"Deux ouvriers {number}"))
            await desk.mark(assessment, {LEA: Decimal(number)})
        await stage.expect_all("all have all")
        cursors = [[s.cursor for s in stage.notes.seen if s.reader == r.name and s.cursor] for r in readers]
        assert len(cursors[0]) == 5
        assert cursors[0] == cursors[1]


async def test_a_stream_opened_by_an_old_cursor_catches_up_in_order(stage: Stage) -> None:
    desk, reader = stage.desks["6e1"], stage.reader(school.PARENT)
    await reader.hang_up()
    assessment = await desk.assessment(stage.title("Rattrapage"))
    for score in range(12):
        await desk.mark(assessment, {LEA: Decimal(score)})
    reader.open()
    await stage.expect_all("all of it has arrived")


async def test_a_forged_cursor_is_reset_and_not_silent(stage: Stage) -> None:
    reader = stage.reader(school.PARENT)
    await reader.hang_up()
    reader.cursor = "AAAA.BBBB"
    reader.open()
    await stage.expect(
        lambda: any(n.name == "reset" and n.reader is reader for n in stage.notes.news), "a reset is said"
    )
    await stage.expect(lambda: reader.connections >= 3 and bool(reader.worker), "the stream goes on from the page")
    desk = stage.desks["6e1"]
    await desk.mark(await desk.assessment(stage.title("Après")), {LEA: Decimal(5)})
    await stage.expect_all("the stream goes on")


async def test_the_rights_asked_of_the_api_are_those_of_the_demo_school(stage: Stage) -> None:
    pupils = [str(p.id) for p in (school.PUPIL, school.BROTHER, school.FOSTERED)]
    rights = await rights_of(stage.cast, school.UAI, pupils)
    names = {(right.reader.split()[0], right.scope.partition(":")[0]) for right in rights}
    assert names == {("Amélie", "guardians"), ("Côme", "guardians"), ("Léa", "pupils"), ("Noé", "pupils")}
