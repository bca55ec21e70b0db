"""`preau demo` as a user runs it, with a part killed in the middle and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from infra.local.home import CHECKOUT
from tests.platform import Platform

SECONDS = 240


def demo(platform: Platform, *options: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "cli", "demo", "--json", *options]
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("part", [None, "postgres", "kafka", "gateway"])
def test_the_demo_finds_nothing_wrong(platform: Platform, part: str | None) -> None:
    status, events = demo(platform, *(("--kill", part) if part else ()))
    assert [event["text"] for event in of(events, "outcome") if not event["ok"]] == []
    verdict = of(events, "verdict")[0]
    assert verdict["findings"] == []
    assert set(verdict["counts"].values()) == {0}
    assert verdict["delivered"] > 20
    assert len(of(events, "kill")) == (1 if part else 0)
    assert of(events, "end")[0]["ok"]
    assert status == 0
    # It was up before: it is up after.
    assert platform.ok("GET", "/v1/me", by=platform.guardian.login)["children"]


def test_a_part_that_is_none_is_refused(platform: Platform) -> None:
    assert demo(platform, "--kill", "everything")[0] == 2
