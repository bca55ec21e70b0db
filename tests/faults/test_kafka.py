"""Kafka is away: writes go on being answered, and all of them arrive afterwards, in order."""

from __future__ import annotations

import asyncio

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import killed, paused
from tests.faults.rights import Rights
from tests.platform import Platform

ANSWERED_SECONDS = 5.0
"""How long a write may take while Kafka is away."""


async def test_kafka_stands_still_and_is_killed(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        async with paused(platform, "kafka"):
            posting.slowest = 0
            await asyncio.sleep(lengths.away)
            await posting.more(lengths.posts)
            assert posting.slowest < ANSWERED_SECONDS
        await posting.more(lengths.posts)
        await killed(platform, "kafka")
        await posting.more(lengths.posts)
    await until_ready(platform.home, {})
    await judge(platform, stage)
