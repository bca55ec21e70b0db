"""A whole demo: the steps in order, the outage where one is asked for, and what the checker says of it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from cli.demo.client import ApiProblem
from cli.demo.mails import judge, opened, without_repeats
from cli.demo.outage import NoSuchPart, outage
from cli.demo.show import Tell
from cli.demo.stage import Stage, StepFailed, staged
from cli.demo.steps import STEPS
from cli.running_home import RunningHome
from infra.local.control import ask

PATIENCE = 15.0
OUTAGE_PATIENCE = 90.0
_SETTLE_SECONDS = 2.0


async def play(running: RunningHome, operator_token: str, tell: Tell, kill: Sequence[str]) -> bool:
    """Play it against a running platform; True when every step did what it should and nothing is wrong."""
    began, ok = time.monotonic(), True
    async with staged(running.url, operator_token, tell, OUTAGE_PATIENCE if kill else PATIENCE) as stage:
        for number, step in enumerate(STEPS, 1):
            tell("step", number=number, title=_title(step))
            ok &= await _outcome(stage, step(stage))
        if kill:
            tell("step", number=len(STEPS) + 1, title=f"{' and '.join(kill)} killed while grades are posted")
            ok &= await _outcome(stage, outage(stage, running.home, kill))
        ok &= await _judged(stage)
        ok &= await _mailed(stage, running, bool(kill))
    tell("end", ok=ok, seconds=round(time.monotonic() - began, 1))
    return ok


def _title(step: Callable[[Stage], Awaitable[str]]) -> str:
    return (step.__doc__ or step.__name__).strip().partition("\n")[0]


async def _outcome(stage: Stage, step: Awaitable[str]) -> bool:
    began = time.monotonic()
    try:
        text, ok = await step, True
    except (StepFailed, NoSuchPart, ApiProblem, aiohttp.ClientError, TimeoutError) as error:
        text, ok = f"{type(error).__name__}: {error}", False
    stage.posted_at = None
    stage.tell("outcome", ok=ok, text=text, seconds=round(time.monotonic() - began, 2))
    return ok


async def _mailed(stage: Stage, running: RunningHome, killed: bool) -> bool:
    """Judge the e-mails too: each guardian with the right has been told of each grade, and nobody else."""
    address = (ask(running.home, "status") or {}).get("mailbox")
    if not address:
        stage.tell("note", text="No local mailbox: the e-mails are not looked at.")
        return True
    mailbox = await opened(stage, address)
    verdict = await mailbox.settle(stage.ledger, OUTAGE_PATIENCE if killed else PATIENCE)
    repeats = len(mailbox.told) - len(without_repeats(mailbox.told))
    if killed:
        verdict = judge(stage.ledger, without_repeats(mailbox.told), time.time(), mailbox.addresses)
    findings = [f"{f.fault}: {f.reader}: {f.key}: {f.what}" for f in verdict.findings[:50]]
    stage.tell(
        "mails",
        address=address,
        counts=verdict.counts(),
        delivered=verdict.delivered,
        repeats=repeats,
        last=mailbox.last,
        findings=findings,
        clean=verdict.clean,
    )
    return verdict.clean


async def _judged(stage: Stage) -> bool:
    # A double or a stray has no event of its own to wait for: the streams are listened to for a moment longer.
    await asyncio.sleep(_SETTLE_SECONDS)
    verdict = stage.verdict()
    findings = [f"{f.fault}: {f.reader}: {f.key}: {f.what}" for f in verdict.findings[:50]]
    tell = stage.tell
    tell(
        "verdict",
        counts=verdict.counts(),
        delivered=verdict.delivered,
        findings=findings,
        writes=len(stage.ledger.writes),
        clean=verdict.clean,
    )
    return verdict.clean
