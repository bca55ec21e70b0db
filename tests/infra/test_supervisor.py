"""The supervisor: order of start, restarts, orphans of a killed one, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.control import ask
from infra.local.home import CHECKOUT, Home
from infra.local.parts import lag_of
from infra.local.ports import free_port
from infra.local.processes import LOG_LIMIT, alive, marked, open_log, trim_log
from tests.infra.supervise_placeholders import PLACEHOLDER

SUPERVISE = Path(__file__).with_name("supervise_placeholders.py")


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Wait on a condition; its value once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose path has spaces and accents."""
    home = Home(tmp_path / "collège du préau")
    home.create()
    return home


class Placeholders:
    """A supervisor in a process of its own over placeholder parts."""

    def __init__(self, home: Home, **ports: int) -> None:
        self.home = home
        self.ports = {"base": free_port(), "top": free_port(), **ports}
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SUPERVISE), str(self.home.root), json.dumps(self.ports)]
        self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)})
        return self.process

    def part(self, name: str) -> dict[str, Any]:
        answer = ask(self.home, "status") or {"parts": []}
        return next((part for part in answer["parts"] if part["part"] == name), {})

    def wait_until_up(self) -> None:
        wait_for(lambda: (ask(self.home, "status") or {}).get("up"), "all parts")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def placeholders(home: Home) -> Iterator[Placeholders]:
    running = Placeholders(home)
    running.wait_until_up()
    yield running
    running.end()
    assert marked(home.root) == []


def test_parts_start_in_order_and_are_told_of(placeholders: Placeholders) -> None:
    answer = ask(placeholders.home, "status")
    assert answer is not None
    assert [part["state"] for part in answer["parts"]] == ["ready", "ready"]
    assert [event["part"] for event in answer["events"]] == ["base", "top", ""]
    assert answer["closing"] == ["sign in as nobody"]
    assert placeholders.part("top")["lag"] == {"preau_consumer_lag": 7.0}


def test_what_dies_is_restarted_and_counted(placeholders: Placeholders) -> None:
    before = placeholders.part("top")["pid"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: placeholders.part("top").get("pid") not in (None, before), "another process")
    wait_for(lambda: placeholders.part("top")["state"] == "ready", "readiness")
    part = placeholders.part("top")
    assert part["restarts"] == 1
    assert "SIGKILL" in part["last_error"]


def test_what_ends_at_once_is_tried_again_ever_more_slowly(placeholders: Placeholders) -> None:
    (placeholders.home.root / "top.fails").touch()
    ask(placeholders.home, "restart", part="top")
    wait_for(lambda: placeholders.part("top")["restarts"] >= 3, "three tries")
    assert "ended with status 9: no luck today" in placeholders.part("top")["last_error"]
    pauses = [e["text"].split("again in ")[1].split()[0] for e in events(placeholders) if "again in" in e["text"]]
    assert pauses[:3] == ["0.2", "0.4", "0.8"]
    (placeholders.home.root / "top.fails").unlink()
    wait_for(lambda: placeholders.part("top")["state"] == "ready", "readiness")


def events(placeholders: Placeholders) -> list[dict[str, str]]:
    answer = ask(placeholders.home, "status")
    assert answer is not None
    return list(answer["events"])


def test_orphans_of_a_killed_supervisor_are_ended_before_the_next_start(placeholders: Placeholders) -> None:
    orphans = [psutil.Process(placeholders.part(name)["pid"]) for name in ("base", "top")]
    placeholders.process.kill()
    placeholders.process.wait()
    assert all(alive(orphan) for orphan in orphans)
    assert not placeholders.home.taken()
    placeholders.start()
    placeholders.wait_until_up()
    assert not any(alive(orphan) for orphan in orphans)


def test_a_process_of_another_home_is_left_alone(placeholders: Placeholders, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.create()
    neighbour = Placeholders(other)
    neighbour.wait_until_up()
    pid = neighbour.part("base")["pid"]
    placeholders.end()
    assert psutil.pid_exists(pid)
    neighbour.end()
    assert marked(other.root) == []


def test_only_those_who_can_read_the_home_are_answered(placeholders: Placeholders) -> None:
    state = placeholders.home.run / "supervisor.json"
    assert state.stat().st_mode & 0o077 == 0
    known = json.loads(state.read_text())
    state.write_text(json.dumps(known | {"secret": "guessed"}))
    assert ask(placeholders.home, "down") is None
    assert placeholders.process.poll() is None
    state.write_text(json.dumps(known))


class Stranger:
    """A server that no supervisor runs."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PLACEHOLDER, str(self.port), "/no/such/file"])

    def end(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


def test_a_server_elsewhere_is_waited_for_set_up_followed_and_left_alone(home: Home) -> None:
    stranger = Stranger()
    running = Placeholders(home, elsewhere=stranger.port)
    try:
        wait_for(lambda: "doesn't answer" in running.part("base").get("last_error", ""), "its absence")
        assert running.part("top")["state"] == "waiting"
        stranger.start()
        running.wait_until_up()
        assert (home.root / "set-up").exists()
        base = running.part("base")
        assert (base["state"], base["pid"], base["where"]) == ("ready", None, f"127.0.0.1:{stranger.port}")
        refused = ask(home, "restart", part="base")
        assert refused is not None
        assert "runs elsewhere" in refused["error"]
        stranger.end()
        wait_for(lambda: running.part("base")["state"] == "unready", "its absence")
        stranger.start()
        wait_for(lambda: running.part("base")["state"] == "ready", "its return")
        running.end()
        assert stranger.process is not None
        assert stranger.process.poll() is None
    finally:
        running.end()
        stranger.end()


def test_down_ends_every_process(placeholders: Placeholders) -> None:
    assert ask(placeholders.home, "down") == {"stopping": True}
    assert placeholders.process.wait(30) == 0
    assert marked(placeholders.home.root) == []
    assert not (placeholders.home.run / "supervisor.json").exists()


def test_the_lag_is_the_largest_of_each_gauge() -> None:
    metrics = '# HELP preau_consumer_lag x\npreau_consumer_lag{c="a"} 3\npreau_consumer_lag{c="b"} 12\nother 99\n'
    assert lag_of(metrics) == {"preau_consumer_lag": 12.0}


def test_logs_are_bounded(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    trim_log(log)
    assert log.stat().st_size == 0
    assert log.with_suffix(".log.1").stat().st_size == LOG_LIMIT + 1
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    open_log(log).close()
    assert log.stat().st_size == 0
