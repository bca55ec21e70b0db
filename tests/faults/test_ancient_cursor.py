"""A cursor older than what a gateway remembers: its reader goes on from the history."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import aiohttp

from cli import demo_school as school
from cli.demo.stage import Stage
from infra.local.ports import LOOPBACK, free_port
from tests.faults.judging import judge
from tests.faults.processes import joined, until_answering
from tests.gateway.streams import Message, stream
from tests.platform import Platform

MISSED = 30
"""Items behind a cursor that no gateway remembers."""
LEA = str(school.PUPIL.id)


async def test_a_cursor_older_than_any_ring_goes_on_from_the_history(platform: Platform, stage: Stage) -> None:
    """A worker that remembers two items serves a reader who missed thirty, while more come, each once and in order."""
    token, port = await asyncio.to_thread(platform.token, school.PARENT.login), free_port()
    tiny = {"PREAU_PORT": str(port), "PREAU_PORT_SHARED": "false", "PREAU_RING_ITEMS": "2"}
    url, desk = f"http://{LOOPBACK}:{port}", stage.desks["6e1"]
    async with joined(platform, "gateway-1", "gateway-3", **tiny) as further, aiohttp.ClientSession() as http:
        await until_answering(further)
        async with stream(http, url, token) as client:
            ancient = await client.first_id()
        titles = [stage.title(f"Manquée {number}") for number in range(MISSED)]
        for title in titles:
            await desk.mark(await desk.assessment(title), {LEA: Decimal(13)})
        await stage.expect_all("other workers sent them")
        late = await desk.assessment(stage.title("La dernière"))
        titles.append(late.title)
        async with stream(http, url, token, last_id=ancient) as client, asyncio.TaskGroup() as group:
            group.create_task(desk.mark(late, {LEA: Decimal(14)}))
            heard = [await client.next(30) for _ in titles]
        assert [named(message, titles) for message in heard] == titles
        # From any place on the way, too: what follows it, and nothing of what went before.
        for place in (0, MISSED // 2, MISSED - 1):
            async with stream(http, url, token, last_id=heard[place].id) as client:
                rest = [await client.next(30) for _ in range(MISSED - place)]
            assert [named(message, titles) for message in rest] == titles[place + 1 :]
    await judge(platform, stage)


def named(message: Message, titles: list[str]) -> str | None:
    """Which of these an item tells of; None for another, and for what is no item."""
    told = json.loads(message.data).get("summary", {}).get("fr", "") if message.name == "item" else ""
    return next((title for title in titles if title in told), None)
