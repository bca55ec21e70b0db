"""Consumers die or stand still in the middle of a batch; who goes on in their stead doubles nothing and loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.databases import gate
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import frozen, pids
from tests.platform import Platform

IN_MID_BATCH = (("feed", "items"), ("notify", "messages"))
"""Where an effect is, by service: a batch is in its middle when it writes there."""


@pytest.mark.parametrize(("service", "table"), IN_MID_BATCH)
async def test_a_consumer_is_killed_in_mid_batch(
    platform: Platform, stage: Stage, lengths: Lengths, service: str, table: str
) -> None:
    async with load(stage) as posting:
        await posting.more(lengths.posts)
        async with gate(platform, service, table, "INSERT") as writing:
            consumer = await writing.reached()
            part = {pid: name for name, pid in (await pids(platform)).items()}[consumer]
            os.kill(consumer, signal.SIGKILL)
            await writing.cut()
        await until_ready(platform.home, {part: consumer})
        await posting.more(lengths.posts)
    await judge(platform, stage, repeats=service == "notify")


async def test_a_consumer_is_frozen_in_mid_batch_past_its_session(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    async with load(stage) as posting:
        await posting.more(lengths.posts)
        async with gate(platform, "feed", "items", "INSERT") as writing:
            consumer = await writing.reached()
            with frozen(consumer):
                # Its statement is done, its transaction not; its partitions go to the other meanwhile.
                await writing.open()
                await asyncio.sleep(lengths.frozen)
                await posting.more(lengths.posts)
        await posting.more(lengths.posts)
    await until_ready(platform.home, {})
    await judge(platform, stage)
