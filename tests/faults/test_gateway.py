"""Gateway workers with streams open: killed, and at the mercy of a client that never reads."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import psutil

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import killed, pids
from tests.faults.rights import resets
from tests.platform import READER_SECONDS, Platform

LEA = str(school.PUPIL.id)
ITEMS = 150
"""More than fits into a gateway's buffer (64 KiB) and those of a socket of small segments."""
SEGMENT = 88
"""Bytes: on the loopback the kernel would hold megabytes for a connection of its own choice."""
OPEN_SECONDS = 10.0
CUT_SECONDS = 3.0
MOST_GROWTH = 16 * 1024 * 1024
"""Bytes a worker may grow by meanwhile: mostly what it keeps of what is posted."""


async def test_all_workers_are_killed(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    reader = stage.reader(school.PARENT)
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
        before = reader.connections
        await killed(platform, "gateway-1", "gateway-2")
        await posting.more(lengths.posts)
    await judge(platform, stage)
    assert reader.connections > before, "her stream was at neither of them"
    assert not resets(stage)


async def test_a_client_that_never_reads_is_cut(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    desk = stage.desks["6e1"]
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
        with _deaf(platform) as deaf:
            worker, opened = await _worker(platform, deaf), time.monotonic()
            grown_from = worker.memory_info().rss
            assessment = await desk.assessment(stage.title("Pour une sourde"))
            for n in range(ITEMS):
                await desk.mark(assessment, {LEA: Decimal(n) / 10})
            filled = time.monotonic()
            while _serves(worker, deaf):
                assert time.monotonic() - filled < READER_SECONDS + CUT_SECONDS, "it is not cut"
                await asyncio.sleep(0.1)
            assert time.monotonic() - opened >= READER_SECONDS, "it is cut for another reason"
            assert worker.memory_info().rss - grown_from < MOST_GROWTH
        await posting.more(lengths.posts)
    await judge(platform, stage)


@contextmanager
def _deaf(platform: Platform) -> Iterator[socket.socket]:
    """A guardian's stream that takes in hardly anything and from which nothing is ever read."""
    host, _, port = platform.base_url.rpartition("/")[2].partition(":")
    token = platform.token(school.PARENT.login)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        deaf.connect((host, int(port)))
        deaf.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        yield deaf


async def _worker(platform: Platform, client: socket.socket) -> psutil.Process:
    """The worker that serves a stream, once that is open."""
    # Something may be read: the head of the answer.
    await asyncio.to_thread(select.select, [client], [], [], OPEN_SECONDS)
    workers = [psutil.Process(pid) for part, pid in (await pids(platform)).items() if part.startswith("gateway")]
    return next(worker for worker in workers if _serves(worker, client))


def _serves(worker: psutil.Process, client: socket.socket) -> bool:
    port = client.getsockname()[1]
    return any(one.raddr and one.raddr.port == port for one in worker.net_connections("tcp4"))
