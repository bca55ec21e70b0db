"""The whole platform ends: part after part in order under load, and everything at once; then it goes on."""

from __future__ import annotations

import asyncio
import signal

from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import killed, pids
from tests.platform import Platform

ENDED_IN_ORDER = ("directory", "grades-1", "feed-2", "notify", "relay", "gateway-1", "portal")


async def test_processes_are_ended_in_order_under_load(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(stage) as posting:
        await posting.more(lengths.posts)
        await killed(platform, *ENDED_IN_ORDER, by=signal.SIGTERM)
        await posting.more(lengths.posts)
    await judge(platform, stage)
    assert not [note for note in stage.notes.news if note.name == "reset"]


async def test_everything_is_killed_at_once_and_started_again(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    async with load(stage) as posting:
        await posting.more(lengths.posts)
        before = await pids(platform)
        await asyncio.to_thread(platform.supervised.kill)
        await asyncio.to_thread(platform.supervised.start)
        await posting.more(lengths.posts)
    assert not set(before.values()) & set((await pids(platform)).values())
    await judge(platform, stage, repeats=True)
