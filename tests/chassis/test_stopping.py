"""A process that is told to stop ends in time, whatever a part of it waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from infra.local.home import CHECKOUT

_PROCESS = """
import asyncio
from chassis.process import run
from chassis.settings import ProcessSettings

async def started():
    pass

async def stuck():
    await asyncio.Event().wait()

async def compose(process):
    await process.part(started(), stuck)
    print("up", flush=True)

run("stuck", ProcessSettings(), compose)
"""


def test_a_part_that_never_stops_is_not_waited_for_without_end() -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(CHECKOUT), "PREAU_DRAIN_SECONDS": "0.1", "PREAU_STOP_SECONDS": "0.3"
    }  # fmt: skip
    command = [sys.executable, "-c", _PROCESS]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "did not stop in time" in said
