"""The shape of the tree: imports go down only, no folder is a drawer, types and lints hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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


def test_no_folder_is_a_drawer() -> None:
    drawers = {"utils", "common", "core", "helpers", "platform"}
    parts = ("contracts", "chassis", "roster", "wording", "services", "infra", "cli", "bench")
    found = [path for part in parts for path in (ROOT / part).rglob("*") if path.is_dir() and path.name in drawers]
    assert found == []
