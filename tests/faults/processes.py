"""Faults of processes: killed, ended, frozen and thawed by signals, and further ones that join and leave."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import psutil

from cli.demo.outage import status, until_ready
from infra.local.home import CHECKOUT
from infra.local.parts import get
from infra.local.ports import free_port
from infra.local.processes import spawn, stop
from tests.platform import Platform

READY_SECONDS = 60.0


async def pids(platform: Platform) -> dict[str, int]:
    """The processes of the platform's parts by name."""
    return {one["part"]: one["pid"] for one in (await status(platform.home))["parts"] if one["pid"]}


async def killed(platform: Platform, *parts: str, by: int = signal.SIGKILL) -> None:
    """Send a signal that ends these parts to all of them at once, and wait until every part is ready again.

    A server that the platform doesn't run is ended, without warning by SIGKILL and in order otherwise, and started again.
    """
    running = await pids(platform)
    others = [platform.servers.server(part) for part in parts if part not in running]
    victims = {part: running[part] for part in parts if part in running}
    for pid in victims.values():
        os.kill(pid, by)
    for server in others:
        await asyncio.to_thread(server.kill if by == signal.SIGKILL else server.stop)
        await asyncio.to_thread(server.start)
    await until_ready(platform.home, victims)


async def wrong_with(platform: Platform, *parts: str) -> dict[str, dict[str, str]]:
    """What keeps each of these parts from being ready, by the names of its checks."""
    running = await pids(platform)
    return {part: await failing(int(psutil.Process(running[part]).environ()["PREAU_ADMIN_PORT"])) for part in parts}


async def failing(admin: int) -> dict[str, str]:
    """What fails among the checks of the process whose admin port this is, by their names."""
    said = (await asyncio.to_thread(get, admin, "/health/ready"))[1]
    found: dict[str, str] = json.loads(said)["failing"]
    return found


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that stands still within the block, and does not know it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def paused(platform: Platform, name: str) -> AsyncIterator[None]:
    """A server that stands still within the block, whoever runs it."""
    server = platform.servers.server(name)
    await asyncio.to_thread(server.pause)
    try:
        yield
    finally:
        await asyncio.to_thread(server.unpause)


@dataclass(frozen=True, slots=True)
class Further:
    """A process of a service that the supervisor knows nothing of."""

    process: subprocess.Popen[bytes]
    admin: int


@asynccontextmanager
async def joined(platform: Platform, like: str, name: str, **environment: str) -> AsyncIterator[Further]:
    """One more process of a running part's kind, under a name of its own; it leaves in order when the block ends."""
    admin = free_port()
    service = like.partition("-")[0]
    told = psutil.Process((await pids(platform))[like]).environ()
    own = {"PREAU_INSTANCE": name, "PREAU_ADMIN_PORT": str(admin), "PREAU_SUPERVISOR": str(os.getpid())}
    command, log = [sys.executable, "-P", "-m", "cli", "run", service], platform.home.logs / f"{name}.log"
    process = spawn(command, {**told, **own, **environment}, log, CHECKOUT)
    try:
        yield Further(process, admin)
    finally:
        await asyncio.to_thread(stop, process)
    assert process.returncode == 0, f"{name} did not leave in order"


async def until_answering(further: Further) -> None:
    """Wait until a further process says that it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while (await asyncio.to_thread(get, further.admin, "/health/ready"))[0] != 200:
        assert further.process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not get ready"
        await asyncio.sleep(0.1)
