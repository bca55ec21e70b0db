"""The relay dies between send and delete: what it sent is sent again, and is known everywhere as a repeat."""

from __future__ import annotations

import os
import signal
from collections import Counter

from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults import topics
from tests.faults.databases import gate
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import pids
from tests.faults.rights import Rights
from tests.platform import Platform


async def test_the_relay_is_killed_between_send_and_delete(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    begun = await topics.ends(platform, "grades")
    async with load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        async with gate(platform, "grades", "outbox", "DELETE") as deleting:
            relay = await deleting.reached_by()
            assert relay == (await pids(platform))["relay"]
            os.kill(relay, signal.SIGKILL)
            await deleting.cut()
            await posting.more(lengths.posts)
        await until_ready(platform.home, {"relay": relay})
        await posting.more(lengths.posts)
    await judge(platform, stage)
    sequences = Counter(dict(record.headers)["ce_sequence"] for record in await topics.since(platform, begun))
    assert max(sequences.values()) > 1, "nothing was sent twice: the fault did not come"
