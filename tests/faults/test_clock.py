"""A process whose clock is ten minutes off: it refuses the gateway's word, which is no fault of the family's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import joined, until_answering
from tests.platform import Platform

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
ASKED = 60


@pytest.mark.skipif(FAKETIME is None, reason="Debian's faketime is not installed")
@pytest.mark.parametrize("offset", ["+10m", "-10m"])
async def test_a_wrong_clock_makes_nobody_sign_in_again(
    platform: Platform, stage: Stage, lengths: Lengths, offset: str
) -> None:
    # Monotonic time stays as it is: it is the wall's clock that is wrong.
    wrong = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    async with load(stage) as posting, joined(platform, "grades-1", "grades-3", **wrong) as further:
        await until_answering(further)
        # It shares the service's port, so every third connection of the gateways is to it.
        path = f"/v1/assessments?group={stage.desks['6e1'].group}"
        found = [(await asyncio.to_thread(platform.call, "GET", path, by="prof")).status for _ in range(ASKED)]
        assert set(found) == {200, 503}
        await posting.more(lengths.posts)
    await judge(platform, stage)
