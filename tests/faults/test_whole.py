"""Everything is killed at once, as by a power cut, and started again."""

from __future__ import annotations

import asyncio

from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import pids
from tests.faults.rights import Rights
from tests.platform import Platform


async def test_everything_is_killed_at_once_and_started_again(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        before = await pids(platform)
        await asyncio.to_thread(platform.supervised.kill)
        await asyncio.to_thread(platform.supervised.start)
        await posting.more(lengths.posts)
    assert not set(before.values()) & set((await pids(platform)).values())
    await judge(platform, stage, repeats=True)
