"""Load: teachers of both classes post, correct and withdraw marks, and one adult's right comes and goes, while a fault lasts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import Enum
from itertools import cycle, islice

from cli import demo_school as school
from cli.demo.checker import Ledger
from cli.demo.desk import Assessment, Desk
from cli.demo.stage import Stage
from tests.faults.rights import Rights, take_and_give_back
from tests.platform import Platform

SERIES = "Série"
PACE_SECONDS = 0.15
CORRECTIONS = 5
"""Posts of one assessment: marks, then corrections of all of them."""
DUE_SECONDS = (2.0, 0.4)
"""When guardians see an assessment that is due later, in turn: after its last correction, and in the midst of them."""
TURN_SECONDS = 2.0
"""From when a right was given back until it is taken again."""
PUPILS = 8
"""Pupils marked in one post: those whose families watch, and others. A whole class would make e-mails faster than they leave."""
_WATCHED = frozenset(str(one.id) for one in (school.PUPIL, school.BROTHER, school.FOSTERED))


class Kind(Enum):
    """What becomes of an assessment; each desk goes through all in turn, beginning with another."""

    DUE_LATER = "guardians see it later than pupils"
    MARK_WITHDRAWN = "one mark is withdrawn in the end"
    WITHDRAWN = "it is withdrawn with all its marks in the end"


class Load:
    """What is posted; `posted` counts the requests that were answered."""

    def __init__(self, stage: Stage) -> None:
        self.posted = 0
        self.slowest = 0.0
        """Seconds the slowest answer took, attempts and all."""
        self._stage = stage
        self._stopping = asyncio.Event()
        self._moved = asyncio.Event()

    async def more(self, posts: int, seconds: float = 60) -> None:
        """Wait until so many more posts were answered."""
        wanted = self.posted + posts
        async with asyncio.timeout(seconds):
            while self.posted < wanted:
                self._moved.clear()
                await self._moved.wait()

    async def run(self, name: str, desk: Desk, kinds: Iterable[Kind]) -> None:
        """Post at one desk until told to stop: assessments of these kinds, each to its end."""
        due = cycle(DUE_SECONDS)
        for number, kind in enumerate(kinds):
            if self._stopping.is_set():
                return
            guardians_due = time.time() + next(due) if kind is Kind.DUE_LATER else None
            title = self._stage.title(f"{SERIES} {name} {number}")
            assessment = await desk.assessment(title, guardians_due=guardians_due)
            for correction in range(CORRECTIONS):
                begun = time.monotonic()
                await desk.mark(assessment, _scores(desk, Decimal(6 + correction)))
                self.posted += 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self._moved.set()
                # A pace, not a wait for anything: the fault is to come between posts and in the middle of one.
                await asyncio.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))
            await _end(desk, assessment, kind)

    async def turn_rights(self, platform: Platform, rights: Rights) -> None:
        """Take one adult's right and give it back, over and over until told to stop."""
        while not self._stopping.is_set():
            await take_and_give_back(platform, self._stage, rights)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TURN_SECONDS)

    def stop(self) -> None:
        """Post no more than what was begun."""
        self._stopping.set()


def _scores(desk: Desk, least: Decimal) -> dict[str, Decimal]:
    watched_first = sorted(desk.class_scores(least).items(), key=lambda scored: scored[0] not in _WATCHED)
    return dict(watched_first[:PUPILS])


async def _end(desk: Desk, assessment: Assessment, kind: Kind) -> None:
    if kind is Kind.MARK_WITHDRAWN:
        await desk.withdraw(assessment, next(iter(assessment.scores)))
    elif kind is Kind.WITHDRAWN:
        await desk.withdraw_all(assessment)


@asynccontextmanager
async def load(platform: Platform, stage: Stage, rights: Rights = Rights.PROMPT) -> AsyncIterator[Load]:
    """Posting within the block; what was begun is answered when it ends."""
    posting = Load(stage)
    async with asyncio.TaskGroup() as group:
        for place, (name, desk) in enumerate(stage.desks.items()):
            kinds = islice(cycle(Kind), place, None)
            group.create_task(posting.run(name, desk, kinds), name=f"load {name}")
        if rights is not Rights.KEPT:
            group.create_task(posting.turn_rights(platform, rights), name="load rights")
        try:
            yield posting
        finally:
            posting.stop()
    _require_meaning(stage.ledger, rights)


def _require_meaning(ledger: Ledger, rights: Rights) -> None:
    """That nothing came too early, or to who has no right, says something only where something could have."""
    writes = [write for write in ledger.writes if write.key.startswith(SERIES) and write.acknowledged]
    assert any(due for write in writes for due in write.due.values()), "nothing was due later"
    assert any(write.state is None for write in writes), "nothing was withdrawn"
    assert rights is Rights.KEPT or any(right.withdrawn for right in ledger.rights), "no right was taken"
