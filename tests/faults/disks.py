"""A small disk under one of the platform's own servers, which really fills up, and has room again."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.demo.outage import until_ready
from infra.local.kafka import Kafka
from infra.local.postgres import Postgres
from tests.faults.processes import frozen, pids
from tests.platform import Platform

ROOM = 64 * 1024 * 1024
"""Bytes that are left on the disk at first: for what is written while all is well."""
_BLOCK = 1024 * 1024
_SERVERS = {"postgres": Postgres, "kafka": Kafka}


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that holds a server's data, and what a stranger may put beside them."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Take all room there is."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (_BLOCK, 1):
                while _written(ballast.fileno(), size):
                    pass

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


def _written(file: int, size: int) -> bool:
    try:
        return os.write(file, bytes(size)) == size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


@asynccontextmanager
async def small_disk(platform: Platform, name: str) -> AsyncIterator[Disk]:
    """Within the block a server's data are on a small disk of their own; the server is started anew before and after.

    Skips where nothing can be mounted, and where the server is not the platform's own.
    """
    _require_mounts(platform, name)
    before = (await pids(platform))[name]
    await asyncio.to_thread(_move, platform, name, _onto_small)
    disk = Disk(platform.home.root / name)
    try:
        await until_ready(platform.home, {name: before})
        yield disk
    finally:
        disk.free()
        before = (await pids(platform)).get(name, 0)
        await asyncio.to_thread(_move, platform, name, _off_small)
        await until_ready(platform.home, {name: before})


def _require_mounts(platform: Platform, name: str) -> None:
    if name not in platform.servers.reachable or platform.servers.settings:
        pytest.skip("only a server of the platform's own can be moved to another disk")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    probe = platform.home.root / "probe"
    probe.mkdir()
    try:
        _mount(probe, _BLOCK)
        _unmount(probe)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no disk can be mounted: {error.stderr.strip()}")
    finally:
        probe.rmdir()


def _move(platform: Platform, name: str, move: Callable[[Path], None]) -> None:
    """Move a server's data while it is stopped, without its supervisor starting it anew meanwhile."""
    with frozen(platform.supervised.pid):
        _SERVERS[name](platform.home).recover()
        move(platform.home.root / name)


def _onto_small(folder: Path) -> None:
    large = _large(folder)
    used = int(_run("du", "--summarize", "--block-size=1", str(folder)).split()[0])
    folder.rename(large)
    folder.mkdir()
    _mount(folder, used + ROOM)
    _copy(large, folder)


def _off_small(folder: Path) -> None:
    large = _large(folder)
    shutil.rmtree(large)
    large.mkdir()
    _copy(folder, large)
    _unmount(folder)
    folder.rmdir()
    large.rename(folder)


def _large(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.large")


def _copy(here: Path, there: Path) -> None:
    # Owners, modes and links are kept, also those of the folder itself; and no hole is made where there was none: a
    # write-ahead log has its room before it is written.
    _run("cp", "--archive", f"{here}/.", str(there))


def _mount(folder: Path, size: int) -> None:
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "preau-small-disk", str(folder))


def _unmount(folder: Path) -> None:
    _run("umount", str(folder))


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
