"""The first start of a home: the demo school comes in, and people get accounts."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from cli import demo_school
from cli.running_home import RunningHome

_LOADED = "demo-school"


def load_demo_school(running: RunningHome) -> list[str]:
    """Have the demo school of the current school year; returns lines that say who to sign in as."""
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    year = str(demo_school.current_school_year(today))
    marker = running.home.run / _LOADED
    if not marker.exists() or marker.read_text(encoding="utf-8") != year:
        work = demo_school.ensure(running.database_url("directory"), running.url, running.operator_token(), today)
        asyncio.run(work)
        marker.write_text(year, encoding="utf-8")
    people = demo_school.PEOPLE
    width = max(len(person.login) for person in people)
    lines = [f"  {person.login:<{width}}  {person.given_name} {person.family_name}, {person.what}" for person in people]
    return [f"Sign in with the password {demo_school.PASSWORD} as", *lines]
