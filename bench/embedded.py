"""A whole embedded Préau for a benchmark: a home of its own, started and stopped by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.running_home import RunningHome
from infra.local.home import CHECKOUT, Home

_START_SECONDS = 300


@contextmanager
def embedded(
    scale: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[RunningHome]:
    """A running Préau with the demo school; its home is erased afterwards. `settings` are environment variables."""
    root = Path(tempfile.mkdtemp(prefix="preau-bench-"))
    environment = _environment(root) | dict(settings or {})
    options = [f"--scale={name}={count}" for name, count in (scale or {}).items()]
    try:
        _command(environment, "up", "--detach", "--port=0", *options)
        yield RunningHome.of(Home(root))
    finally:
        _command(environment, "down")
        shutil.rmtree(root, ignore_errors=True)


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PREAU_HOME": str(root), "PYTHONPATH": str(CHECKOUT)}


def _command(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        cwd=CHECKOUT,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"preau {arguments[0]} failed: {done.stdout[-2000:]}")
    return done.stdout


def pids(running: RunningHome) -> dict[str, int]:
    """Process id of each part."""
    environment = _environment(running.home.root)
    status = json.loads(_command(environment, "status", "--json"))
    return {part["part"]: part["pid"] for part in status["parts"] if part["pid"]}
