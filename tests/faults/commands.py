"""The command line, run on the platform as an operator runs it."""

from __future__ import annotations

import asyncio
import os
import sys

from infra.local.home import CHECKOUT
from tests.platform import Platform

SECONDS = 120.0


async def run(platform: Platform, *arguments: str) -> str:
    """Run a command that must succeed; returns what it printed."""
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *arguments,
        cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, printed.decode()
    return printed.decode()
