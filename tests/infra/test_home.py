"""The home folder, the public port, and the command line over both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.home import CHECKOUT, Home, HomeTaken
from infra.local.parts import Part
from infra.local.ports import LOOPBACK, PortTaken, free_port, hold_public_port, is_free
from infra.local.system import BadScale, System, parse_scale


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "collège du préau")
    home.create()
    return home


def preau(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PREAU_HOME": str(home.root), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-P", "-m", "cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_keys_are_made_once_and_private(home: Home) -> None:
    before = home.private_key.read_bytes(), home.cursor_secret(), home.database_password("preau_feed")
    home.create()
    assert (home.private_key.read_bytes(), home.cursor_secret(), home.database_password("preau_feed")) == before
    assert len(home.cursor_secret()) >= 32
    assert all(file.stat().st_mode & 0o077 == 0 for file in home.keys.iterdir())


def test_one_process_holds_a_home(home: Home) -> None:
    hold = home.take()
    with pytest.raises(HomeTaken):
        home.take()
    assert home.taken()
    hold.release()
    assert not home.taken()


def test_wiping_leaves_what_a_stranger_put_there(home: Home) -> None:
    (home.root / "mine.txt").touch()
    home.wipe()
    assert [file.name for file in home.root.iterdir()] == ["mine.txt"]


def test_a_port_shared_by_others_counts_as_taken() -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTaken, match=str(port)):
            hold_public_port(port)


def test_a_held_port_can_be_shared_by_workers_and_by_nobody_else() -> None:
    with hold_public_port(0) as reservation:
        port = reservation.getsockname()[1]
        assert not is_free(port)
        workers = [socket.socket(), socket.socket()]
        for worker in workers:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind((LOOPBACK, port))
            worker.listen()
        with socket.create_connection((LOOPBACK, port)):
            pass
        for worker in workers:
            worker.close()


def test_up_names_the_taken_port(home: Home) -> None:
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        done = preau(home, "up", f"--port={port}")
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


def test_the_command_line_without_a_running_home(home: Home) -> None:
    assert preau(home, "status", "--json").returncode == 3
    assert "isn't up" in preau(home, "down").stdout
    assert "no service named 'nosuch'" in preau(home, "run", "nosuch").stderr
    refused = preau(home, "up", "--scale", "gateway=0")
    assert refused.returncode == 1
    assert "gateway=N" in refused.stderr


def test_reset_asks_first(home: Home) -> None:
    assert preau(home, "reset").returncode == 1
    assert home.public_key.exists()
    assert preau(home, "reset", "--yes").returncode == 0
    assert not home.public_key.exists()


def test_each_service_is_told_its_own_secrets_alone(home: Home) -> None:
    system = System(home, free_port(), {"gateway": 3})
    told = {part.name: part.environment for part in system.parts() if isinstance(part, Part)}
    assert [name for name in told if name.startswith("gateway")] == ["gateway-1", "gateway-2", "gateway-3"]
    assert [name for name, e in told.items() if "PREAU_TOKEN_PRIVATE_KEY" in e] == [
        "gateway-1", "gateway-2", "gateway-3",
    ]  # fmt: skip
    assert "PREAU_KAFKA" not in told["portal"]
    assert "PREAU_DATABASE_URL" not in told["portal"]
    assert "preau_grades" in told["grades"]["PREAU_DATABASE_URL"]
    secrets = {home.database_password(f"preau_{name}") for name in ("directory", "feed", "gateway")}
    assert not any(secret in text for secret in secrets for text in told["grades"].values())


def test_any_service_may_have_workers_that_share_its_port(home: Home) -> None:
    system = System(home, free_port(), parse_scale(["grades=2,feed=1", "relay=2"]))
    told = {part.name: part.environment for part in system.parts() if isinstance(part, Part)}
    assert list(told) == [
        "postgres", "kafka", "directory", "grades-1", "grades-2", "feed", "notify", "relay-1", "relay-2", "gateway-1",
        "gateway-2", "portal", "mailbox",
    ]  # fmt: skip
    one, two = told["grades-1"], told["grades-2"]
    assert (one["PREAU_INSTANCE"], two["PREAU_INSTANCE"]) == ("grades-1", "grades-2")
    assert one["PREAU_PORT"] == two["PREAU_PORT"]
    assert one["PREAU_ADMIN_PORT"] != two["PREAU_ADMIN_PORT"]
    shared = {name for name, environment in told.items() if environment.get("PREAU_PORT_SHARED") == "true"}
    assert shared == {"grades-1", "grades-2", "gateway-1", "gateway-2"}
    assert told["mailbox"]["PREAU_MAILBOX_SMTP_PORT"] == str(system.smtp[1])
    assert "PREAU_KAFKA" not in told["mailbox"]


def test_a_database_server_has_room_for_every_worker(home: Home) -> None:
    many = System(home, free_port(), parse_scale(["grades=16,feed=16,directory=16,gateway=16"]))
    assert "--max_connections=924" in many.postgres.command
    assert "--max_connections=200" in System(home, free_port()).postgres.command


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("postgres=2", "one process"),
        ("mailbox=2", "one process"),
        ("grade=2", "no such service; one of directory, grades"),
        ("grades", "grades=N with N from 1 to 16"),
        ("grades=0", "from 1 to 16"),
        ("feed=2,grades=17", "--scale grades=17"),
        ("grades=²", "from 1 to 16"),
        ("", "no such service"),
    ],
)
def test_a_scale_that_cannot_be_had_says_why(entry: str, why: str) -> None:
    with pytest.raises(BadScale, match=why):
        parse_scale([entry])
