"""`preau demo` as a user runs it, with a part killed in the middle and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cli.demo_school import PARENT, PUPIL, SEPARATED
from infra.local.home import CHECKOUT
from tests.platform import Platform
from tests.servers import EMBEDDED

SECONDS = 240
NOTIFICATIONS = "/v1/me/notifications"


def demo(platform: Platform, *options: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "cli", "demo", "--json", *options]
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The demo kills what the platform runs itself; other servers are `test_servers`' to take away."""
    if "parts" in metafunc.fixturenames:
        own = [("postgres",), ("kafka",)] if metafunc.config.getoption("--backends") == EMBEDDED else []
        metafunc.parametrize("parts", [(), *own, ("gateway",), ("grades-2", "feed-1")], ids="+".join)


@pytest.mark.timeout(SECONDS + 30)
def test_the_demo_finds_nothing_wrong(platform: Platform, parts: tuple[str, ...]) -> None:
    status, events = demo(platform, *(f"--kill={part}" for part in parts))
    assert [event["text"] for event in of(events, "outcome") if not event["ok"]] == []
    verdict = of(events, "verdict")[0]
    assert verdict["findings"] == []
    assert set(verdict["counts"].values()) == {0}
    assert verdict["delivered"] > 20
    assert len(of(events, "kill")) == len(parts)
    assert of(events, "end")[0]["ok"]
    assert status == 0
    # It was up before: it is up after.
    assert platform.ok("GET", "/v1/me", by=platform.guardian.login)["children"]


def ends_of_the_separated_fathers_link(platform: Platform) -> object:
    links = platform.ok("GET", f"/v1/pupils/{PUPIL.id}/guardians", by="operator")["guardians"]
    return next(link["ends"] for link in links if link["person"] == str(SEPARATED.id))


# A run in the background is deaf to an interrupt, and so would be what it starts.
HEARING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("cli", run_name="__main__")
"""


def test_an_interrupted_demo_gives_the_right_back(platform: Platform) -> None:
    command = [sys.executable, "-c", HEARING, "demo", "--json"]
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if json.loads(line).get("what") == "scope-removed")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) != 0
    assert ends_of_the_separated_fathers_link(platform) is None


@pytest.fixture
def choices(platform: Platform) -> Iterator[dict[str, Any]]:
    """What the mother chose to be told: nothing, in English; as it was, afterwards."""
    before = platform.ok("GET", NOTIFICATIONS, by=PARENT.login)
    before["email"].pop("address")
    nothing = {"language": "en", "email": {"enabled": False}, "categories": dict.fromkeys(before["categories"], False)}
    platform.ok("PUT", NOTIFICATIONS, nothing, by=PARENT.login)
    yield nothing
    platform.ok("PUT", NOTIFICATIONS, before, by=PARENT.login)


def test_the_next_demo_mends_what_a_killed_one_left(platform: Platform, choices: dict[str, Any]) -> None:
    link = f"/v1/pupils/{PUPIL.id}/guardians/{SEPARATED.id}"
    platform.ok("DELETE", link, by="operator")
    assert ends_of_the_separated_fathers_link(platform) is not None
    status, events = demo(platform)
    assert (status, of(events, "verdict")[0]["findings"], of(events, "mails")[0]["findings"]) == (0, [], [])
    assert ends_of_the_separated_fathers_link(platform) is None
    found = platform.ok("GET", NOTIFICATIONS, by=PARENT.login)
    assert {name: found[name] for name in ("language", "categories")} == {
        name: choices[name] for name in ("language", "categories")
    }
    assert not found["email"]["enabled"]


def test_a_part_that_is_none_is_refused(platform: Platform) -> None:
    assert demo(platform, "--kill", "everything")[0] == 2
