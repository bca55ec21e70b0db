"""SIGTERM, as a deployment sends it to one process after the other under load: each ends in order, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil

from chassis.settings import ProcessSettings
from cli.demo.outage import status, until_ready
from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import pids
from tests.faults.rights import Rights
from tests.platform import Platform

WAVES = (("gateway-1", "grades-1", "feed-1", "notify"), ("gateway-2", "relay", "directory"))
"""One of each kind, one after the other; each wave is ready again before the next."""
LONGEST = sum(float(ProcessSettings.model_fields[name].default) for name in ("drain_seconds", "stop_seconds"))


async def test_each_part_is_told_to_stop(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    before = await pids(platform)
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        for wave in WAVES:
            for part in wave:
                await _stop(platform, part, before[part])
                await posting.more(1)
            await until_ready(platform.home, {part: before[part] for part in wave})
            await posting.more(lengths.posts)
    parts = {one["part"]: one for one in (await status(platform.home))["parts"]}
    for part in (part for wave in WAVES for part in wave):
        assert parts[part]["pid"] not in (None, before[part])
        assert parts[part]["last_error"].startswith("ended with status 0"), parts[part]
    # Who stops in order tells what it has done: nobody sends or takes in anything twice.
    await judge(platform, stage)


async def _stop(platform: Platform, part: str, pid: int) -> None:
    log = platform.home.logs / f"{part}.log"
    said, begun = log.stat().st_size, time.monotonic()
    os.kill(pid, signal.SIGTERM)
    await asyncio.to_thread(psutil.Process(pid).wait, LONGEST + 5)
    assert time.monotonic() - begun <= LONGEST, f"{part} took too long"
    with log.open("rb") as lines:
        lines.seek(said if log.stat().st_size >= said else 0)
        told = lines.read()
    assert b"stopping" in told
    assert b"did not stop in time" not in told, part
