"""Journeys go over the whole running platform; what they share is the platform and the stage of the demo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.stage import Stage, staged
from tests.platform import Platform
from tests.servers import EMBEDDED


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Embedded servers are killed by the demo itself, so that nobody has to take them away."""
    return True if collection_path.name == "test_servers.py" and config.getoption("--backends") == EMBEDDED else None


def _silent(event: str, **fields: Any) -> None:
    """Journeys print nothing."""


@pytest.fixture
async def stage(platform: Platform) -> AsyncIterator[Stage]:
    """The demo's people with their streams open; at the end the checker must find nothing."""
    async with staged(platform.base_url, platform.operator_token, _silent, 30) as found:
        yield found
        verdict = found.verdict()
        assert verdict.clean, verdict.findings
