"""An outage in mid-demo: a part is killed while grades are posted; nothing acknowledged may be lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from cli import demo_school as school
from cli.demo.desk import Assessment, Desk
from cli.demo.stage import Stage, StepFailed
from infra.local.control import ask
from infra.local.home import Home
from infra.local.system import ALONE, SERVICES

PARTS = (*ALONE, *SERVICES)
"""What can be killed, one of several workers by its number (`grades-2`); `gateway` is the one that serves the parent's stream."""
_WORKER = re.compile(r"-[1-9]\d?$")
POSTS = 20
KILLED_AFTER = 7
PACE_SECONDS = 0.4
RECOVERY_SECONDS = 120.0
_POLL_SECONDS = 0.1
_CORRECTIONS = 5


class NoSuchPart(LookupError):
    """The platform runs no part of that name."""


def is_part(name: str) -> bool:
    """Whether some platform runs a part of that name."""
    return name in PARTS or _WORKER.sub("", name) in SERVICES


async def outage(stage: Stage, home: Home, parts: Sequence[str]) -> str:
    """Post steadily, kill the parts in the middle, wait until all is well, and say how long that took."""
    posting = asyncio.create_task(_post_steadily(stage))
    try:
        await stage.expect(
            lambda: _acknowledged(stage) >= KILLED_AFTER, "the first grades are posted", RECOVERY_SECONDS
        )
        victims = dict([await _victim(stage, home, part) for part in parts])
        killed = time.time()
        for name, pid in victims.items():
            os.kill(pid, signal.SIGKILL)
            stage.tell("note", text=f"killed {name} (process {pid}) by SIGKILL")
            stage.tell("kill", part=name, pid=pid)
        attempts = await posting
    finally:
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting
    await until_ready(home, victims)
    ready = time.time() - killed
    await stage.expect_all("everything acknowledged has arrived", RECOVERY_SECONDS)
    await stage.expect(lambda: all(r.worker for r in stage.readers.values()), "every stream is open", RECOVERY_SECONDS)
    last = max(one.at for one in stage.notes.seen) - killed
    return (
        f"{POSTS} posts acknowledged ({attempts - POSTS} sent again under the same Idempotency-Key); "
        f"{', '.join(victims)} ready again {ready:.1f} s after the kill, the last grade at its readers after {last:.1f} s"
    )


def _acknowledged(stage: Stage) -> int:
    return len({write.begun for write in stage.ledger.writes if write.acknowledged and _PREFIX in write.key})


_PREFIX = "Série"


async def _post_steadily(stage: Stage) -> int:
    """Assessments in both classes, each marked and then corrected over and over; returns how many requests it took."""
    attempts = 0
    desks = list(stage.desks.values())
    assessments: list[tuple[Desk, Assessment]] = []
    for n in range(POSTS):
        begun = time.monotonic()
        if n % _CORRECTIONS == 0:
            desk = desks[len(assessments) % len(desks)]
            assessments.append((desk, await desk.assessment(stage.title(f"{_PREFIX} {len(assessments) + 1}"))))
        desk, assessment = assessments[-1]
        stage.posted_at = time.time()
        score = Decimal(6) + n % _CORRECTIONS
        posted = await desk.mark(assessment, desk.class_scores(score, Decimal("0.25")), reason=None)
        attempts += posted.attempts
        # A pace, not a wait for anything: the part is to die between posts and during one.
        await asyncio.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))
    return attempts


async def _victim(stage: Stage, home: Home, part: str) -> tuple[str, int]:
    running = (await status(home))["parts"]
    pids = {one["part"]: one["pid"] for one in running if one["pid"]}
    if part == "gateway":
        serving = stage.reader(school.PARENT).worker
        part = next((name for name, pid in pids.items() if str(pid) == serving), part)
    if part not in pids:
        part = next((name for name in pids if _WORKER.sub("", name) == part), part)
    if part not in pids:
        if where := next((one["where"] for one in running if one["part"] == part), ""):
            raise NoSuchPart(f"{part} runs elsewhere, at {where}: it isn't the demo's to kill")
        raise NoSuchPart(f"no part named {part} runs: {', '.join(sorted(pids))}")
    return part, int(pids[part])


async def status(home: Home) -> dict[str, Any]:
    """What the supervisor says of its parts."""
    answer = await asyncio.to_thread(ask, home, "status")
    return answer or {"parts": []}


async def until_ready(home: Home, killed: Mapping[str, int]) -> None:
    """Wait until the supervisor has started the parts killed (their former process ids) anew and finds every part ready.

    Raises `StepFailed` when that takes too long.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        parts = {one["part"]: one for one in (await status(home))["parts"]}
        again = all(name in parts and parts[name]["pid"] not in (None, pid) for name, pid in killed.items())
        if again and all(one["state"] == "ready" for one in parts.values()):
            return
        if time.monotonic() > deadline:
            states = {name: one["state"] for name, one in parts.items() if one["state"] != "ready" or name in killed}
            raise StepFailed(f"not ready {RECOVERY_SECONDS:.0f} s after {', '.join(killed)} was killed: {states}")
        await asyncio.sleep(_POLL_SECONDS)
