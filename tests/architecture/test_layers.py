"""The shape of the tree: imports go down only, rooms are the same, types and lints hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent for path in (ROOT / "services").glob("*/app.py"))
ROOMS = {"app", "settings", "api", "consumers", "usecases", "domain", "store", "migrations"}


def run(*command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_imports_go_down_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.timeout(300)
def test_types_hold() -> None:
    run("mypy")


def test_lints_hold() -> None:
    run("ruff", "check", "--no-cache", ".")


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: str(path.name))
def test_a_service_has_the_rooms_of_all(service: Path) -> None:
    assert (service / "settings.py").exists()
    assert (service / "api.py").exists() or (service / "api").is_dir()


def test_no_folder_is_a_drawer() -> None:
    drawers = {"utils", "common", "core", "helpers", "platform"}
    parts = ("contracts", "chassis", "roster", "wording", "services", "infra", "cli", "bench")
    found = [path for part in parts for path in (ROOT / part).rglob("*") if path.is_dir() and path.name in drawers]
    assert found == []
