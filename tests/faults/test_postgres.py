"""PostgreSQL goes away, loses connections in mid-transaction, and has no room for some tables: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
import time

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.databases import REACHED_SECONDS, connect, cut_connections, refusing
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import killed
from tests.faults.rights import Rights
from tests.platform import Platform

DISK_FULL = "53100"
CUTS = 2


async def test_postgres_is_restarted(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        await killed(platform, "postgres", by=signal.SIGINT)
        await posting.more(lengths.posts)
    await judge(platform, stage, repeats=True)


async def _cut_in_transaction(platform: Platform) -> int:
    """Cut who is in the middle of something, once somebody is."""
    deadline = time.monotonic() + REACHED_SECONDS
    while not (cut := await cut_connections(platform, states=["active", "idle in transaction"])):
        assert time.monotonic() < deadline, "nobody was in the middle of anything"
    return cut


async def test_connections_are_cut_in_mid_transaction(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    cut = 0
    async with load(platform, stage, Rights.LATE) as posting:
        for _ in range(CUTS):
            await posting.more(lengths.posts // 2)
            cut += await _cut_in_transaction(platform)
            await posting.more(1)
            await cut_connections(platform)
            await asyncio.sleep(lengths.pause)
        await posting.more(lengths.posts)
    assert cut >= CUTS
    await until_ready(platform.home, {})
    await judge(platform, stage, repeats=True)


async def test_there_is_no_room_for_some_tables(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
        async with refusing(platform, "feed", "items", DISK_FULL):
            # The history waits; streams and writes go on.
            await posting.more(lengths.posts)
            async with refusing(platform, "grades", "assessments", DISK_FULL):
                body = {
                    "group": stage.desks["6e1"].group,
                    "title": stage.title("Sans place"),
                    "held_on": stage.desks["6e1"].day.isoformat(),
                }
                reply = await asyncio.to_thread(platform.call, "POST", "/v1/assessments", body, by="prof")
                assert (reply.status, reply.body["code"]) == (503, "unavailable")
                assert "retry-after" in reply.headers
                await asyncio.sleep(lengths.pause)
        await posting.more(lengths.posts)
    await judge(platform, stage)
    connection = await connect(platform, "feed")
    # It was nobody's fault, so nothing is parked for it.
    assert await connection.fetchval("SELECT count(*) FROM parked_keys") == 0
    await connection.close()
