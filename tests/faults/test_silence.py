"""The directory is silent for longer than rights may be trusted: streams and e-mails hold, and then go on."""

from __future__ import annotations

import asyncio
import time

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.faults.judging import judge, mailbox_of
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import frozen, pids, wrong_with
from tests.faults.rights import Rights
from tests.platform import BEAT_SECONDS, SILENCE_SECONDS, Platform

LATE_SECONDS = 3.0
"""At the most until what is silent is told of, and until what was on its way has arrived."""
HELD_SECONDS = 2.0
PARTS = {"gateway-1": "directory", "gateway-2": "directory", "notify": "roster"}
"""The check by which each tells."""


async def test_nothing_is_sent_while_the_directory_is_silent(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    mailbox = await mailbox_of(platform, stage)

    async def all_tell() -> bool:
        wrong = await wrong_with(platform, *PARTS)
        return all("the directory was last heard of" in wrong[part].get(check, "") for part, check in PARTS.items())

    async def no_stream_opens() -> bool:
        reply = await asyncio.to_thread(platform.call, "GET", "/v1/stream", by=school.PARENT.login)
        return reply.status == 503 and "retry-after" in reply.headers

    async with load(platform, stage, Rights.KEPT) as posting:
        await posting.more(lengths.posts)
        with frozen((await pids(platform))["directory"]):
            silent = time.monotonic()
            await stage.poll(all_tell, "gateways and notify tell of it", SILENCE_SECONDS + LATE_SECONDS)
            assert time.monotonic() - silent > SILENCE_SECONDS - 2 * BEAT_SECONDS
            # Writes are answered, and what was on its way arrives; from then on, nothing.
            held = time.time() + LATE_SECONDS / 2
            while time.time() < held + HELD_SECONDS:
                await posting.more(1)
            assert await no_stream_opens()
            await mailbox.read()
            assert [one.key for one in [*stage.notes.seen, *mailbox.told] if one.at > held] == []
        await posting.more(lengths.posts)

    async def none_tells() -> bool:
        return not any((await wrong_with(platform, *PARTS)).values())

    await stage.poll(none_tells, "gateways and notify are ready again", 30)
    await judge(platform, stage)
