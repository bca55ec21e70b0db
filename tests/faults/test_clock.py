"""A process whose clock is ten minutes off: it refuses the gateway's word, which is no fault of the family's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import joined, killed, until_answering
from tests.platform import Platform

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(FAKETIME is None, reason="Debian's faketime is not installed")
async def test_a_wrong_clock_makes_nobody_sign_in_again(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    # Monotonic time stays as it is: it is the wall's clock that is wrong.
    wrong = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+10m", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    async with load(platform, stage) as posting, joined(platform, "grades-1", "grades-3", **wrong) as further:
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
