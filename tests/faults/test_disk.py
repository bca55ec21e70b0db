"""A disk is full to the last byte: writes are refused clearly, and all that was acknowledged arrives once there is room."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from chassis.database import UNREACHABLE
from cli import demo_school as school
from cli.demo.outage import until_ready
from cli.demo.stage import Stage
from tests.faults.databases import as_superuser, connect
from tests.faults.disks import small_disk
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import pids
from tests.faults.rights import Rights
from tests.platform import Platform, Reply

ANSWERED_SECONDS = 5.0
"""How long a write may take while Kafka has no room."""
REFUSED_SECONDS = 30.0
MOST_SEGMENTS = 500
"""Segments of the write-ahead log that may be there already, to be written over."""


async def test_postgres_has_no_room(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    log = platform.home.logs / "postgres.log"
    async with small_disk(platform, "postgres") as disk, load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        # What they sign in with takes room, and so does a connection.
        for login in ("prof", school.PARENT.login):
            await asyncio.to_thread(platform.token, login)
        administrator = await as_superuser(platform)
        said = log.stat().st_size
        disk.fill()
        await _until_refused(platform, stage)
        assert b"No space left on device" in log.read_bytes()[said:]
        # The server itself goes on.
        page = await asyncio.to_thread(platform.call, "GET", "/v1/feed", by=school.PARENT.login)
        assert page.status == 200
        await _log_until_panic(administrator)
        assert b"PANIC" in log.read_bytes()[said:]
        await _until_refused(platform, stage)
        await asyncio.sleep(lengths.away)
        disk.free()
        await until_ready(platform.home, {})
        await posting.more(lengths.posts)
    await judge(platform, stage, repeats=True)
    for service in ("feed", "notify"):
        connection = await connect(platform, service)
        # It was nobody's fault, so nothing is parked for it.
        assert await connection.fetchval("SELECT count(*) FROM parked_keys") == 0
        await connection.close()


@pytest.mark.at_length
async def test_kafka_has_no_room(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    log = platform.home.logs / "kafka.log"
    async with small_disk(platform, "kafka") as disk, load(platform, stage, Rights.LATE) as posting:
        await posting.more(lengths.posts)
        said, before = log.stat().st_size, (await pids(platform))["kafka"]
        disk.fill()
        # The outbox takes in what the topics can't.
        posting.slowest = 0
        while (await pids(platform)).get("kafka") == before:
            await posting.more(1)
        await asyncio.sleep(lengths.away)
        await posting.more(lengths.posts)
        assert posting.slowest < ANSWERED_SECONDS
        assert b"No space left on device" in log.read_bytes()[said:]
        disk.free()
        await until_ready(platform.home, {"kafka": before})
        await posting.more(lengths.posts)
    await judge(platform, stage)


async def _until_refused(platform: Platform, stage: Stage) -> None:
    """Write until a write is refused, which says when to come again; until then each is answered."""
    desk, deadline = stage.desks["6e1"], time.monotonic() + REFUSED_SECONDS
    body = {"group": desk.group, "title": stage.title("Sans place"), "held_on": desk.day.isoformat()}
    while (reply := await asyncio.to_thread(platform.call, "POST", "/v1/assessments", body, by="prof")).status == 201:
        assert time.monotonic() < deadline, "there is room"
    _require_refusal(reply)


def _require_refusal(reply: Reply) -> None:
    assert (reply.status, reply.body["code"]) == (503, "unavailable")
    assert "retry-after" in reply.headers


async def _log_until_panic(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Have the server need more of its write-ahead log than there is room for, which it does not survive."""
    try:
        for _ in range(MOST_SEGMENTS):
            await connection.execute("SELECT pg_logical_emit_message(true, 'fault', 'full'); SELECT pg_switch_wal()")
    except (*UNREACHABLE, asyncpg.PostgresError):
        return
    finally:
        connection.terminate()
    raise AssertionError("there is room for the log")
