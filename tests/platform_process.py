"""A whole platform for tests as a process of its own: `python -m tests.platform_process HOME`, every request traced."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cli import demo_school
from cli.running_home import RunningHome
from infra.local.home import Home
from infra.local.ports import LOOPBACK, free_port, hold_public_port
from infra.local.supervisor import Supervisor
from infra.local.system import System
from tests.provider import CLIENT, SECRET

TRACES = "traces.jsonl"


def main(root: Path) -> None:
    """Run until told to stop through the home's control port."""
    home = Home(root)
    home.create()
    hold, reservation = home.take(), hold_public_port(0)
    provider = free_port()
    os.environ["PREAU_SIGN_IN_PROVIDERS"] = json.dumps([_provider(provider)])
    system = System(home, reservation.getsockname()[1])
    traced = {"PREAU_TRACES": f"file:{home.logs / TRACES}", "PREAU_TRACE_RATIO": "1"}
    parts = [replace(part, environment={**part.environment, **traced}) for part in system.parts()]
    facts: dict[str, object] = {"url": system.url, "home": str(root), "postgres_port": system.postgres.port}
    facts["provider_port"] = provider

    def load() -> list[str]:
        running = RunningHome(home, system.url, system.postgres.port)
        token = running.operator_token()
        today = datetime.now(ZoneInfo("Europe/Paris")).date()
        asyncio.run(demo_school.ensure(system.databases["directory"], system.url, token, today))
        return []

    async def supervise() -> None:
        await Supervisor(home, parts, after=load, facts=facts).run()

    asyncio.run(supervise())
    reservation.close()
    hold.release()


def _provider(port: int) -> dict[str, object]:
    """A provider that a test may start on this port; until then it is away."""
    label = {"fr": "le collège", "en": "the school"}
    issuer = f"http://{LOOPBACK}:{port}"
    return {"name": "school", "label": label, "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
