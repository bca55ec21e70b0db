"""How many classes of thirty a second are written by posts at the gateway, beside bare asyncpg committing the same rows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from uuid import UUID, uuid4

import asyncpg
import psutil
import uvloop

from bench.classes import PUPILS, Class, assessments, classes
from bench.floors.write import CONNECTIONS
from bench.machine import on_core
from bench.report import Report, at_least, of_rounds
from bench.rounds import ROUNDS
from bench.servers import cpu_seconds, running, servers
from bench.wire import Poster, poster, request
from infra.local.home import CHECKOUT
from infra.local.system import System

FLOOR_EACH = 80
EACH = 40
"""Classes a connection writes in a round: the floor's, which is faster, and the platform's."""
_WARM_UP = 20
_PARTS = ("grades", "gateway-1")
"""What runs beside the servers: no relay and no consumer is started."""
_RUN_SECONDS = 60.0
_START_SECONDS = 30.0


class Side:
    """Classes, each with a connection to the gateway, and the floor's program beside them."""

    def __init__(self, system: System, made: Sequence[Class], posters: Sequence[Poster]) -> None:
        self._database = system.databases["grades"]
        self._made = made
        self._posters = posters
        self._titles = map("n° {}".format, count(1))

    async def requests(self, each: int) -> list[list[bytes]]:
        """What each connection posts: the marks of a class of its own, so many assessments."""
        ids = await assessments(self._database, self._made, each, next(self._titles))
        return [[_post(one, id) for id in own] for one, own in zip(self._made, ids, strict=True)]

    async def posted(self, lanes: Sequence[Sequence[bytes]]) -> float:
        """Classes a second through the gateway."""
        began = time.perf_counter()
        await asyncio.gather(*map(_post_all, self._posters, lanes))
        return sum(map(len, lanes)) / (time.perf_counter() - began)

    async def committed(self, each: int) -> float:
        """Classes a second of bare asyncpg."""
        title = next(self._titles)
        await assessments(self._database, self._made, each, title)
        command = [sys.executable, "-m", "bench.floors.write", title]
        environment = {**os.environ, "FLOOR_DATABASE": self._database}
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=CHECKOUT,
            env=environment,
            timeout=_RUN_SECONDS,
            check=True,
            capture_output=True,
        )
        number, seconds = done.stdout.split()
        return int(number) / float(seconds)

    async def clear(self) -> None:
        """Empty what grows and is not measured, so that both sides find the same."""
        connection = await asyncpg.connect(self._database)
        await connection.execute("TRUNCATE outbox, marks, mark_changes, disclosures, idempotency_keys")
        await connection.close()


def _post(one: Class, assessment: UUID) -> bytes:
    marks = ",".join(f'{{"pupil":"{pupil}","score":"14.5"}}' for pupil in one.pupils)
    path, key = f"/v1/assessments/{assessment}/marks", {"Idempotency-Key": str(uuid4())}
    return request("POST", path, one.token, f'{{"marks":[{marks}]}}'.encode(), key)


async def _post_all(connection: Poster, requests: Sequence[bytes]) -> None:
    for one in requests:
        await connection.post(one)


def measure() -> Report:
    """Alternate floor and platform."""
    with servers() as system, ExitStack() as stack:
        parts = {"postgres": _postgres(system)}
        parts |= {name: stack.enter_context(running(system, name)) for name in _PARTS}
        on_core(0)
        return uvloop.run(_measure(system, parts))


async def _measure(system: System, parts: dict[str, psutil.Process]) -> Report:
    report = Report("write")
    # A service listens once its database is migrated.
    (await _reached(system.services["grades"])).close()
    posters = [await _reached(system.url) for _ in range(CONNECTIONS)]
    made = await classes(system.databases["grades"], system.databases["gateway"], CONNECTIONS)
    side = Side(system, made, posters)
    await side.posted(await side.requests(_WARM_UP))
    await _rounds(report, side, parts)
    for connection in posters:
        connection.close()
    return report


async def _rounds(report: Report, side: Side, parts: dict[str, psutil.Process]) -> None:
    floor, platform = [], []
    cpu: dict[str, list[float]] = defaultdict(list)
    parts = parts | {"the client": psutil.Process()}
    for _ in range(ROUNDS):
        await side.clear()
        floor.append(await side.committed(FLOOR_EACH))
        await side.clear()
        lanes = await side.requests(EACH)
        before = {name: cpu_seconds(process) for name, process in parts.items()}
        platform.append(await side.posted(lanes))
        for name, process in parts.items():
            used = cpu_seconds(process) - before[name]
            cpu[name].append(used / (EACH * CONNECTIONS * PUPILS) * 1e6)
    report.add(of_rounds("bare asyncpg, one statement a class", floor, "classes/s"))
    report.add(of_rounds("posted at the gateway", platform, "classes/s"))
    ratios = [ours / bare for ours, bare in zip(platform, floor, strict=True)]
    report.add(of_rounds("posted, to bare asyncpg", ratios, "×", at_least(0.2)))
    for name, rounds in cpu.items():
        report.add(of_rounds(f"CPU a grade: {name}", rounds, "µs"))


async def _reached(url: str) -> Poster:
    """A connection to a service, which counts as up a moment before it listens."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                return await poster(url)
            except OSError:
                await asyncio.sleep(0.05)


def _postgres(system: System) -> psutil.Process:
    return psutil.Process(int((system.postgres.data / "postmaster.pid").read_text().split()[0]))


def main() -> bool:
    """Run it; whether every bound holds."""
    return measure().close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
