"""What cannot be taken in: its key is parked, all others go on, and a replay puts it back in order."""

from __future__ import annotations

import asyncpg

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.faults.commands import run
from tests.faults.databases import connect, refusing
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.rights import Rights
from tests.platform import Platform

LEA = f"pupils/{school.PUPIL.id}"
RAISED = "P0001"


async def test_a_poison_event_parks_its_key_until_it_is_replayed(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    parked: list[asyncpg.Record] = []
    connection = await connect(platform, "feed")

    async def is_parked() -> bool:
        parked[:] = await connection.fetch("SELECT consumer, source, key, events FROM parked_keys")
        return bool(parked) and parked[0]["events"] > lengths.posts

    async def others_go_on() -> bool:
        page = await stage.cast.members[school.BROTHER.login].api.get("/v1/feed")
        return any(stage.run in item["summary"]["fr"] for item in page["items"])

    async with load(platform, stage, Rights.KEPT) as posting:
        await posting.more(1)
        async with refusing(platform, "feed", "items", RAISED, f"NEW.scope LIKE '%{LEA}'"):
            await stage.poll(is_parked, "the key is parked with what follows it", 60)
            await stage.poll(others_go_on, "the others' history goes on", 30)
        assert [row["key"] for row in parked] == [f"grades:{LEA}"]
        name = parked[0]
        said = await run(platform, "dlq", "replay", "feed", name["consumer"], name["source"], name["key"], "--yes")
        assert said.startswith("Replayed ")
        await posting.more(lengths.posts)
    await judge(platform, stage)
    assert await connection.fetchval("SELECT count(*) FROM parked_keys") == 0
    await connection.close()
