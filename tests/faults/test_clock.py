"""Clocks that are ten minutes off: tokens are refused, which is no fault of the family's, and streams go on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli import demo_school as school
from cli.demo.client import Api
from cli.demo.notes import Notes
from cli.demo.reader import Reader
from cli.demo.stage import Stage
from infra.local.ports import LOOPBACK, free_port
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import Further, failing, frozen, joined, killed, pids, until_answering, wrong_with
from tests.platform import SILENCE_SECONDS, Platform

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
# A build has it (`.ci/run`): there, a test that is passed over would be a fault that nobody looked at.
pytestmark = pytest.mark.skipif(
    FAKETIME is None and not os.environ.get("CI"), reason="Debian's faketime is not installed"
)


def off(by: str) -> dict[str, str]:
    """The environment of a process whose clock is off."""
    assert FAKETIME is not None, "Debian's faketime is not installed"
    # Monotonic time stays as it is: it is the wall's clock that is wrong.
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def test_a_wrong_clock_makes_nobody_sign_in_again(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    async with load(stage) as posting, joined(platform, "grades-1", "grades-3", **off("+10m")) as further:
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


@asynccontextmanager
async def stream_at(stage: Stage, port: int, notes: Notes) -> AsyncIterator[Reader]:
    """A stream of a parent's at the gateway of a port, from now on."""
    known = stage.cast.members[school.PARENT.login].api
    api = Api(known.session, f"http://{LOOPBACK}:{port}", None)
    api.headers = known.headers
    reader = Reader("elsewhere", api, notes.take)
    # Its own gateway can't read a page for it: services refuse the tokens of a wrong clock.
    reader.cursor = (await known.get("/v1/feed", limit="1"))["cursor"]
    reader.open()
    try:
        assert await notes.until(lambda: bool(reader.worker), SILENCE_SECONDS)
        yield reader
    finally:
        await reader.hang_up()


async def trusted(platform: Platform, further: Further) -> bool:
    """Whether every gateway trusts what it knows of rights."""
    wrong = [*(await wrong_with(platform, "gateway-1", "gateway-2")).values(), await failing(further.admin)]
    return not any("directory" in one for one in wrong)


async def test_wrong_clocks_of_directory_and_gateway_hold_no_stream(
    platform: Platform, stage: Stage, lengths: Lengths, clocks: tuple[str, str]
) -> None:
    directory, gateway = clocks
    port, notes = free_port(), Notes()
    async with (
        load(stage) as posting,
        joined(platform, "directory", "directory-2", PREAU_PORT="0", **off(directory)) as beating,
    ):
        await until_answering(beating)
        # From now on it alone beats.
        with frozen((await pids(platform))["directory"]):
            silent = time.monotonic()
            async with joined(platform, "gateway-1", "gateway-3", PREAU_PORT=str(port), **off(gateway)) as further:
                await until_answering(further)
                async with stream_at(stage, port, notes):
                    while time.monotonic() < silent + SILENCE_SECONDS + 1:
                        await posting.more(1)
                        assert await trusted(platform, further)
                    posted = time.time()
                    assert await notes.until(lambda: any(one.at > posted for one in notes.seen), 10)
        await posting.more(lengths.posts)
    await judge(platform, stage)
