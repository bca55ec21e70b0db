"""A server that the platform doesn't run is taken away and comes back: what was answered arrives, once and in order."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from cli import demo_school as school
from cli.demo.stage import Stage
from cli.running_home import RunningHome
from infra.local.control import ask
from tests.platform import Platform

LEA = str(school.PUPIL.id)
RECOVERY_SECONDS = 60.0
POSTS = 12


async def posted(stage: Stage, title: str) -> None:
    """Marks one after the other, each sent until it is answered."""
    desk = stage.desks["6e1"]
    assessment = await desk.assessment(stage.title(title))
    for number in range(POSTS):
        await desk.mark(assessment, {LEA: Decimal(number)})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["postgres", "kafka"])
@pytest.mark.parametrize("way", ["kill", "stop", "pause"])
async def test_a_server_goes_and_comes_back(platform: Platform, stage: Stage, name: str, way: str) -> None:
    server = platform.servers.server(name)
    await posted(stage, f"Avant {way}")
    posting = asyncio.create_task(posted(stage, f"Pendant {way}"))
    await asyncio.to_thread(getattr(server, way))
    await asyncio.to_thread(server.unpause if way == "pause" else server.start)
    await posting
    await posted(stage, f"Après {way}")
    await stage.expect_all("everything that was answered has arrived", RECOVERY_SECONDS)


def test_what_the_platform_does_not_run_it_names_and_leaves_alone(platform: Platform) -> None:
    running = RunningHome.of(platform.home)
    status = ask(platform.home, "status")
    assert status is not None
    parts = {part["part"]: part for part in status["parts"]}
    for name, where in (("postgres", running.postgres.partition("://")[2]), ("kafka", running.kafka)):
        assert (parts[name]["where"], parts[name]["pid"]) == (where, None)
        refused = ask(platform.home, "restart", part=name)
        assert refused is not None
        assert "runs elsewhere" in refused["error"]
