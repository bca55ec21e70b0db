"""`preau rebuild feed` on the running platform: the same history after it, whatever was expired, posted or killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cli import demo_school as school
from cli.demo.stage import Stage
from cli.topics import partitions
from contracts import grades
from infra.local.control import ask
from infra.local.home import CHECKOUT
from infra.local.processes import wait_until
from tests.platform import Platform

LEA = str(school.PUPIL.id)
SECONDS = 60
SCORES = 2000
"""How many there are below 20, to a hundredth."""


def command(platform: Platform) -> subprocess.Popen[str]:
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "rebuild", "feed", "--yes"],
        cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def rebuild(platform: Platform) -> str:
    """Run it to its end; returns what it printed."""
    with command(platform) as running:
        printed, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == 0, printed
    return printed


def pages(platform: Platform, login: str) -> Iterator[dict[str, Any]]:
    """Every item of somebody's history."""
    query = "limit=50"
    while query:
        page = platform.ok("GET", f"/v1/feed?{query}", by=login)
        yield from page["items"]
        query = f"limit=50&before={page['next']}" if page["next"] else ""


def generation(platform: Platform) -> int:
    known = platform.ok("GET", "/v1/feed/generations", by="operator")["generations"]
    return next(int(one["generation"]) for one in known if one["state"] == "serving")


async def expire(kafka: str, topic: str) -> None:
    """Have a topic lose all it holds, as its retention would."""
    admin, reader = AIOKafkaAdminClient(bootstrap_servers=kafka), AIOKafkaConsumer(bootstrap_servers=kafka)
    await asyncio.gather(admin.start(), reader.start())
    places: list[TopicPartition] = (await partitions(admin, [topic]))[topic]
    ends = await reader.end_offsets(places)
    await admin.delete_records({place: RecordsToDelete(before_offset=end) for place, end in ends.items() if end})
    assert await reader.beginning_offsets(places) == ends
    await reader.stop()
    await admin.close()


def test_the_history_is_the_same_though_the_topic_has_lost_it(platform: Platform) -> None:
    kept = platform.post_grade(0, title="Reconstruite", score="11", comment="Bien")
    corrected = platform.post_grade(1, title="Reconstruite puis corrigée", score="4")
    platform.correct_grade(corrected, 1, score="14")
    withdrawn = platform.post_grade(0, title="Reconstruite puis retirée", score="3")
    platform.withdraw_grade(withdrawn, 0)
    again = platform.post_grade(0, title="Rendue", score="5")
    readers = (platform.guardian.login, school.PUPIL.login)

    def taken_in() -> bool:
        told = "\n".join(item["summary"]["fr"] + item["title"]["fr"] for item in pages(platform, readers[0]))
        return "corrigé, avant\u202f: 4/20" in told and "Rendue" in told and "puis retirée" not in told

    wait_until(taken_in, 10, "the history")
    before = [list(pages(platform, reader)) for reader in readers]
    cursor = platform.ok("GET", "/v1/feed", by=readers[0])["cursor"]
    number = generation(platform)
    asyncio.run(expire(platform.kafka, grades.TOPIC))

    printed = rebuild(platform)
    assert [list(pages(platform, reader)) for reader in readers] == before
    assert generation(platform) == number + 1
    counts = printed.splitlines()[-1].split()
    assert counts[0] == counts[3]
    assert platform.call("GET", f"/v1/feed?after={cursor}", by=readers[0]).status == 410
    assert platform.call("PUT", f"/v1/feed/generations/{number + 2}", by=readers[0]).status == 404
    assert platform.call("PUT", "/v1/replays/grades/feed-9", by=readers[0]).status == 404
    assert platform.call("DELETE", f"/v1/feed/generations/{number + 1}", by="operator").status == 409
    # What was there before can be corrected after.
    platform.correct_grade(kept, 0, score="12")
    platform.withdraw_grade(again, 0)
    wait_until(
        lambda: (
            [
                i["title"]["en"][-5:]
                for i in pages(platform, readers[0])
                if i["summary"]["fr"].startswith("Reconstruite ·")
            ]
            == ["12/20"]
        ),
        10,
        "the correction",
    )


def pid_of(platform: Platform, part: str) -> int:
    status = ask(platform.home, "status") or {"parts": []}
    return next(int(one["pid"]) for one in status["parts"] if one["part"].partition("-")[0] == part)


@pytest.mark.timeout(180)
async def test_streams_go_on_and_lose_nothing_whatever_is_killed_meanwhile(platform: Platform, stage: Stage) -> None:
    number = generation(platform)
    desk = stage.desks["6e1"]
    stop = asyncio.Event()

    async def post() -> int:
        posts, assessment = 0, await desk.assessment(stage.title("Pendant la reconstruction"))
        while not stop.is_set():
            if posts and posts % SCORES == 0:
                assessment = await desk.assessment(stage.title(f"Pendant la reconstruction, après {posts}"))
            # No score of an assessment twice: after a page the checker goes by what a state says.
            await desk.mark(assessment, {LEA: Decimal(posts % SCORES) / 100})
            posts += 1
        return posts

    posting = asyncio.create_task(post())
    with command(platform) as first:
        assert first.stdout is not None
        await asyncio.to_thread(first.stdout.readline)
        for part in ("grades", "feed"):
            os.kill(pid_of(platform, part), signal.SIGKILL)
        first.kill()
    try:
        await asyncio.to_thread(rebuild, platform)
    finally:
        stop.set()
    assert await posting > 5
    assert generation(platform) == number + 1
    await stage.expect_all("everything posted meanwhile has arrived", 30)
    resets = {note.reader.name for note in stage.notes.news if note.name == "reset"}
    assert resets == {reader.name for reader in stage.readers.values()}
    await desk.mark(await desk.assessment(stage.title("Après la reconstruction")), {LEA: Decimal(15)})
    await stage.expect_all("the streams go on")
