"""Single parts of an embedded Préau for a benchmark: PostgreSQL and Kafka, and of the services those that are measured."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from chassis.migrations import CHASSIS, migrate
from infra.local.home import Home
from infra.local.parts import Part, get
from infra.local.ports import free_port
from infra.local.processes import spawn, stop, wait_until
from infra.local.system import WITH_OUTBOX, System

_START_SECONDS = 60.0


@contextmanager
def servers(*names: str, scale: Mapping[str, int] | None = None, roomy: bool = True) -> Iterator[System]:
    """A running PostgreSQL and Kafka, or what is named of them, with every database; their home is erased afterwards.

    `roomy`: they take the room that servers of their own would.
    """
    home = Home(Path(tempfile.mkdtemp(prefix="preau-bench-")))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home.root, ignore_errors=True)
        home.create()
        system = System(home, free_port(), scale or {}, roomy=roomy)
        for name in names or ("postgres", "kafka"):
            stack.enter_context(running(system, name))
        for service in WITH_OUTBOX:
            asyncio.run(migrate(system.databases[service], [CHASSIS]))
        yield system


@contextmanager
def running(system: System, name: str) -> Iterator[psutil.Process]:
    """One part of the system, up within the block. A service counts as up once it is alive: its neighbours may be absent."""
    part = next(one for one in system.parts() if isinstance(one, Part) and one.name == name)
    part.prepare()
    process = spawn(part.command(), part.environment, system.home.logs / f"{name}.log", part.folder, part.account)
    try:
        wait_until(lambda: _up(part), _START_SECONDS, f"{name}'s start")
        part.finish()
        yield psutil.Process(process.pid)
    finally:
        stop(process, part.stop_signal, part.patience)


def listening(system: System, *services: str) -> None:
    """Wait until services listen, which each does once its database is migrated: it counts as up before that."""
    for service in services:
        url = urlsplit(system.services.get(service, system.url))
        address = url.hostname or "", url.port or 0
        wait_until(partial(_accepts, address), _START_SECONDS, f"{service} to listen")


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def _up(part: Part) -> bool:
    admin = part.environment.get("PREAU_ADMIN_PORT")
    return part.ready() if admin is None else get(int(admin), "/health/live")[0] == 200


def cpu_seconds(process: psutil.Process) -> float:
    """Seconds of CPU that a process and its children have used."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
