"""Feed's database is lost: what the topic holds is read up again, and what has expired is rebuilt from the domains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cli import demo_school as school
from cli.demo.stage import Stage
from contracts.feed import topic_of
from tests.faults import topics
from tests.faults.commands import run
from tests.faults.databases import lose
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.rights import resets
from tests.platform import Platform

LEA = str(school.PUPIL.id)


async def serving(stage: Stage) -> dict[str, Any]:
    known = (await stage.cast.operator.get("/v1/feed/generations"))["generations"]
    found: dict[str, Any] = next(one for one in known if one["state"] == "serving")
    return found


async def test_a_lost_database_is_read_up_again(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    before = await serving(stage)
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
        await lose(platform, "feed")
        await posting.more(lengths.posts)
    await judge(platform, stage)
    after = await serving(stage)
    assert after["generation"] == before["generation"]
    assert after["items"] >= before["items"]
    assert not resets(stage), "cursors hold good"


async def test_a_lost_database_whose_topic_has_expired_is_rebuilt(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    desk = stage.desks["6e1"]
    await desk.mark(await desk.assessment(stage.title("Expirée")), {LEA: Decimal(13)})
    await stage.expect_all("it is there")
    before = await serving(stage)
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
        await topics.expire(platform, topic_of(before["generation"]))
        await lose(platform, "feed")
        await posting.more(lengths.posts)
        await run(platform, "rebuild", "feed", "--yes")
        await posting.more(lengths.posts)
    await judge(platform, stage)
    after = await serving(stage)
    assert after["generation"] == before["generation"] + 1
    assert after["items"] >= before["items"]
