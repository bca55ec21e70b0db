"""Consumers die or stand still in the middle of a batch; who goes on in their stead doubles nothing and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence, Set

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from services.feed.consumers import history, projector
from tests.faults import topics
from tests.faults.databases import gate
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import frozen, joined, pids, until_answering
from tests.faults.rights import Rights
from tests.faults.test_feed import serving
from tests.platform import Platform

IN_MID_BATCH = (("feed", "items"), ("notify", "messages"))
"""Where an effect is, by service: a batch is in its middle when it writes there."""
MOVED_SECONDS = 30.0


async def test_consumers_are_killed_in_mid_batch(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        victims: dict[str, int] = {}
        for service, table in IN_MID_BATCH:
            async with gate(platform, service, table, "INSERT") as writing:
                consumer = await writing.reached_by()
                victims |= {name: pid for name, pid in (await pids(platform)).items() if pid == consumer}
                os.kill(consumer, signal.SIGKILL)
                await writing.cut()
        await until_ready(platform.home, victims)
        await posting.more(lengths.posts)
    assert len(victims) == len(IN_MID_BATCH)
    await judge(platform, stage, repeats=True)


async def test_one_is_frozen_in_mid_batch_past_its_session_while_others_join_and_leave(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    generation = (await serving(stage))["generation"]
    groups = [projector(generation), history(generation)]
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        async with joined(platform, "relay", "relay-2") as relay, joined(platform, "feed-1", "feed-3") as feed:
            for one in (relay, feed):
                await until_answering(one)
            async with gate(platform, "feed", "items", "INSERT") as writing:
                reader, running = await writing.reached_by(), await pids(platform)
                name = next((name for name, pid in running.items() if pid == reader), "feed-3")
                had = await _dealt_to(platform, stage, groups, name)
                with frozen(reader):
                    # Its statement is done, its transaction not; its partitions go to the others meanwhile, who wait for it.
                    await writing.open()
                    began = time.monotonic()
                    await _until_moved(platform, stage, groups, name, had)
                    await asyncio.sleep(max(0.0, began + lengths.frozen - time.monotonic()))
                    # The other relay has its turn.
                    os.kill(running["relay"], signal.SIGKILL)
                    await posting.more(lengths.posts)
                    reached = await topics.committed(platform, *groups)
            await posting.more(lengths.posts)
        await posting.more(lengths.posts)
    await until_ready(platform.home, {})
    await judge(platform, stage)
    now = await topics.committed(platform, *groups)
    # Who wakes late commits nothing over those who went on; and what it had goes on.
    assert all(now[one] > offset if one in had else now[one] >= offset for one, offset in reached.items())


async def _dealt_to(platform: Platform, stage: Stage, groups: Sequence[str], name: str) -> Set[topics.Dealt]:
    """What a process has, once the groups have settled who has what."""
    has: Set[topics.Dealt] = set()

    async def something() -> bool:
        nonlocal has
        has = (await topics.dealt(platform, *groups)).get(name, set())
        return bool(has)

    await stage.poll(something, f"{name} has something", MOVED_SECONDS)
    return has


async def _until_moved(
    platform: Platform, stage: Stage, groups: Sequence[str], name: str, had: Set[topics.Dealt]
) -> None:
    """Wait until all that a frozen process had is dealt out to others."""

    async def moved() -> bool:
        dealt = await topics.dealt(platform, *groups)
        return had <= set().union(*(has for member, has in dealt.items() if member != name))

    await stage.poll(moved, f"others have what {name} had", MOVED_SECONDS)
