"""One adult's right to one child, taken and given back while marks are posted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from enum import Enum

import asyncpg

from chassis.database import UNREACHABLE
from cli import demo_school as school
from cli.demo.checker import Right
from cli.demo.client import Answer
from cli.demo.reader import News
from cli.demo.stage import Stage
from cli.first_start import until_known
from services.directory.api.parts import POSITION
from tests.platform import Platform

SCOPE = f"guardians:pupils/{school.PUPIL.id}"
AWAY_SECONDS = 0.5
"""How long it is away: for a few posts."""
KNOWN_SECONDS = 120.0
_LINK = f"/v1/pupils/{school.PUPIL.id}/guardians/{school.SEPARATED.id}"
_DECIDING = ("grades", "feed", "notify", "gateway")
"""Services that decide on their own replica of the directory."""


class Rights(Enum):
    """What becomes of the right while a fault lasts."""

    PROMPT = "taken; nothing may be said a second after that was answered"
    LATE = "taken; the fault keeps the directory's word from services, so nothing may be said once they know"
    KEPT = "left alone"


async def take_and_give_back(platform: Platform, stage: Stage, rights: Rights) -> None:
    """Withdraw the right, let marks be posted without it, and grant it again; returns once everybody knows."""
    operator, name = stage.cast.operator, stage.reader(school.SEPARATED).name
    links = (await operator.get(_LINK.rpartition("/")[0]))["guardians"]
    held = next(link for link in links if link["person"] == str(school.SEPARATED.id))
    taken = await operator.call("DELETE", _LINK)
    if rights is Rights.PROMPT:
        stage.close_right(name, SCOPE)
    await _known(platform, taken)
    if rights is Rights.LATE:
        stage.close_right(name, SCOPE)
    # A pace, not a wait for anything: marks are to be posted meanwhile.
    await asyncio.sleep(AWAY_SECONDS)
    granted = Right(name, SCOPE, granted=time.time(), known=float("inf"))
    given = await operator.call("PUT", _LINK, {member: held[member] for member in ("kind", "starts", "ends")})
    stage.ledger.rights.append(granted)
    await _known(platform, given)
    stage.ledger.rights[stage.ledger.rights.index(granted)] = replace(granted, known=time.time())


async def _known(platform: Platform, answer: Answer) -> None:
    """Wait until every service's replica has what was written, however often its database goes away."""
    async with asyncio.timeout(KNOWN_SECONDS):
        await asyncio.gather(
            *(_known_to(platform.database_url(service), int(answer.headers[POSITION])) for service in _DECIDING)
        )


async def _known_to(database_url: str, position: int) -> None:
    while True:
        try:
            return await until_known(database_url, position)
        except (*UNREACHABLE, asyncpg.UndefinedTableError):
            await asyncio.sleep(0.1)


def resets(stage: Stage) -> list[News]:
    """The streams that had to begin anew for another reason than that their reader's rights changed while it was away."""
    return [news for news in stage.notes.news if news.name == "reset" and news.words != "scopes-changed"]
