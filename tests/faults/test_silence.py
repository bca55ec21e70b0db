"""The directory is silent for longer than rights may be trusted: streams and e-mails hold, and then go on."""

from __future__ import annotations

import asyncio
import os
import signal

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.databases import as_superuser
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import pids
from tests.faults.rights import Rights
from tests.platform import Platform

MOST_SECONDS = 120.0
"""A minute until it counts as silent, and as long again for what was on its way."""


async def test_nothing_is_sent_while_the_directory_is_silent(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    connection = await as_superuser(platform)
    async with load(platform, stage, Rights.KEPT) as posting:
        await posting.more(lengths.posts)
        # It cannot start again, so nobody beats.
        await connection.execute("ALTER ROLE preau_directory NOLOGIN")
        os.kill((await pids(platform))["directory"], signal.SIGKILL)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                seen = -1
                while seen != len(stage.notes.seen):
                    seen = len(stage.notes.seen)
                    await posting.more(lengths.posts)
        finally:
            await connection.execute("ALTER ROLE preau_directory LOGIN")
            await connection.close()
        await posting.more(lengths.posts)
    await until_ready(platform.home, {})
    await judge(platform, stage)
