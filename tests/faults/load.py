"""Load: teachers of both classes who post and correct marks, one post after the other, for as long as a fault lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from cli.demo.desk import Desk
from cli.demo.stage import Stage

PACE_SECONDS = 0.15
CORRECTIONS = 5
"""Posts of one assessment: marks, then corrections of all of them."""


class Load:
    """What is posted; `posted` counts the requests that were answered."""

    def __init__(self, stage: Stage) -> None:
        self.posted = 0
        self.slowest = 0.0
        """Seconds the slowest answer took, attempts and all."""
        self._stage = stage
        self._stopping = False
        self._moved = asyncio.Event()

    async def more(self, posts: int, seconds: float = 60) -> None:
        """Wait until so many more posts were answered."""
        wanted = self.posted + posts
        async with asyncio.timeout(seconds):
            while self.posted < wanted:
                self._moved.clear()
                await self._moved.wait()

    async def run(self, name: str, desk: Desk) -> None:
        """Post at one desk until told to stop."""
        number = 0
        while not self._stopping:
            assessment = await desk.assessment(self._stage.title(f"Série {name} {number}"))
            for correction in range(CORRECTIONS):
                begun = time.monotonic()
                await desk.mark(assessment, desk.class_scores(Decimal(6 + correction), Decimal("0.25")))
                self.posted += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self._moved.set()
                # A pace, not a wait for anything: the fault is to come between posts and in the middle of one.
                await asyncio.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))
            number += 1

    def stop(self) -> None:
        """Post no more than what was begun."""
        self._stopping = True


@asynccontextmanager
async def load(stage: Stage) -> AsyncIterator[Load]:
    """Posting within the block; what was begun is answered when it ends."""
    posting = Load(stage)
    async with asyncio.TaskGroup() as group:
        for name, desk in stage.desks.items():
            group.create_task(posting.run(name, desk), name=f"load {name}")
        try:
            yield posting
        finally:
            posting.stop()
