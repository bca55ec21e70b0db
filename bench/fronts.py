"""What benchmarks of the stream connect to: the gateway, and the floor's process with the very bytes the gateway writes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from bench.crowds import Crowd
from bench.families import Prepared
from bench.floors import stream as floors
from bench.machine import on_core
from bench.servers import running
from bench.wire import Posted
from chassis.cursor import Cursors
from infra.local.home import CHECKOUT
from infra.local.ports import free_port
from infra.local.system import System
from infra.topics import Topic, ensure_topics
from services.gateway.stream import frames

_CURSORS = Cursors(b"no secret, as long as a secret is")
_FRONTS_CORE = 1


def ready_bytes(record: Prepared) -> bytes:
    """The very bytes that the platform writes for an item, made beforehand."""
    return frames.event("item", record.value, _CURSORS.place(1, 0)) + frames.ending(_CURSORS.reader("", ()))


@contextmanager
def gateway(system: System) -> Iterator[psutil.Process]:
    """One gateway process on a core of its own."""
    with running(system, "gateway-1") as process:
        on_core(_FRONTS_CORE, process.pid)
        yield process


@contextmanager
def floor(system: System) -> Iterator[tuple[psutil.Process, int]]:
    """The floor's process on the same core, and its port."""
    asyncio.run(ensure_topics(system.bootstrap, [Topic(floors.TOPIC, "bench")]))
    port = free_port()
    environment = {**os.environ, "FLOOR_KAFKA": system.bootstrap, "FLOOR_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "bench.floors.stream"], cwd=CHECKOUT, env=environment)
    try:
        on_core(_FRONTS_CORE, process.pid)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(10)


async def until_open(crowd: Crowd, token: str) -> None:
    """Wait until a front lets a stream in, and leave it again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await crowd.open([token])
                break
            except* (Posted, OSError):
                await crowd.close()
                await asyncio.sleep(0.1)
    await crowd.close()
