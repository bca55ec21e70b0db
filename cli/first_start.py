"""The first start of a home: the demo school comes in, and people get accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import asyncpg

from cli import demo_school
from cli.running_home import RunningHome

_LOADED = "demo-school"
_WITH_ROSTER = ("grades", "feed", "notify", "gateway")
_KNOWN_SECONDS = 30.0
_PAUSE = 0.05


def load_demo_school(running: RunningHome, known_to: Sequence[str] = _WITH_ROSTER) -> list[str]:
    """Have the demo school of the current school year; returns lines that say who to sign in as.

    Waits until the services of `known_to` know it.
    """
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    year = str(demo_school.current_school_year(today))
    marker = running.home.run / _LOADED
    if not marker.exists() or marker.read_text(encoding="utf-8") != year:
        asyncio.run(_load(running, running.operator_token(), known_to, today))
        marker.write_text(year, encoding="utf-8")
    people = demo_school.PEOPLE
    width = max(len(person.login) for person in people)
    lines = [f"  {person.login:<{width}}  {person.given_name} {person.family_name}, {person.what}" for person in people]
    return [f"Sign in with the password {demo_school.PASSWORD} as", *lines]


async def _load(running: RunningHome, token: str, known_to: Sequence[str], today: date) -> None:
    report, _ = await demo_school.ensure(running.database_url("directory"), running.url, token, today)
    async with asyncio.timeout(_KNOWN_SECONDS):
        # Who signs in at once finds everything there.
        await asyncio.gather(*(until_known(running.database_url(one), report.position or 0) for one in known_to))


async def until_known(database_url: str, position: int) -> None:
    """Wait until the replica of the directory in a service's database has come so far; the caller sets the deadline."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        while await connection.fetchval("SELECT position FROM roster_state") < position:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(_PAUSE)
    finally:
        await connection.close()
