"""Clocks that are ten minutes off: tokens are refused, which is no fault of the family's, and streams go on."""

from __future__ import annotations

import asyncio
import time

from cli.demo.stage import Stage
from tests.faults.clocks import needs_faketime, off
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import frozen, joined, killed, pids, until_answering, wrong_with
from tests.faults.rights import Rights
from tests.platform import SILENCE_SECONDS, Platform

pytestmark = needs_faketime


async def test_a_wrong_clock_makes_nobody_sign_in_again(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(platform, stage) as posting, joined(platform, "grades-1", "grades-3", **off("+10m")) as further:
        await until_answering(further)
        # It shares the service's port, so it is asked alone while the others start again.
        restarting = asyncio.create_task(killed(platform, "grades-1", "grades-2"))
        path = f"/v1/assessments?group={stage.desks['6e1'].group}"
        answers = []
        while not restarting.done():
            answers.append(await asyncio.to_thread(platform.call, "GET", path, by="prof"))
        await restarting
        await posting.more(lengths.posts)
    refused = [one for one in answers if one.status == 503 and "this gateway's word" in one.body.get("detail", "")]
    assert refused, "nobody asked it"
    assert 401 not in {one.status for one in answers}
    await judge(platform, stage)


async def trusted(platform: Platform, *gateways: str) -> bool:
    """Whether gateways trust what they know of rights."""
    return not any("directory" in one for one in (await wrong_with(platform, *gateways)).values())


async def test_a_wrong_clock_of_the_directory_holds_no_stream(
    platform: Platform, stage: Stage, lengths: Lengths, directory: str
) -> None:
    async with (
        load(platform, stage, Rights.KEPT) as posting,
        joined(platform, "directory", "directory-2", PREAU_PORT="0", **off(directory)) as one,
    ):
        await until_answering(one)
        # From now on it alone beats.
        with frozen((await pids(platform))["directory"]):
            silent = time.monotonic()
            while time.monotonic() < silent + SILENCE_SECONDS + 1:
                await posting.more(1)
                assert await trusted(platform, "gateway-1", "gateway-2")
            posted = time.time()
            assert await stage.notes.until(lambda: any(one.at > posted for one in stage.notes.seen), 10)
        await posting.more(lengths.posts)
    await judge(platform, stage)
