"""Consumers die or stand still in the middle of a batch; who goes on in their stead doubles nothing and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.databases import gate
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import frozen, joined, pids, until_answering
from tests.faults.rights import Rights
from tests.platform import Platform

IN_MID_BATCH = (("feed", "items"), ("notify", "messages"))
"""Where an effect is, by service: a batch is in its middle when it writes there."""


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
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        async with joined(platform, "relay", "relay-2") as relay, joined(platform, "feed-1", "feed-3") as feed:
            for one in (relay, feed):
                await until_answering(one)
            async with gate(platform, "feed", "items", "INSERT") as writing:
                with frozen(await writing.reached_by()):
                    # Its statement is done, its transaction not; its partitions go to the others meanwhile.
                    await writing.open()
                    await asyncio.sleep(lengths.frozen)
                    # The other relay has its turn.
                    os.kill((await pids(platform))["relay"], signal.SIGKILL)
                    await posting.more(lengths.posts)
            await posting.more(lengths.posts)
        await posting.more(lengths.posts)
    await until_ready(platform.home, {})
    await judge(platform, stage)
