"""Faults come to the whole running platform, under load; what they share is the platform, the stage and their length."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cli.demo.stage import Stage, staged
from tests.faults.lengths import FULL, SHORT, Lengths
from tests.platform import Platform

PATIENCE = 90.0
CLOCKS = ("-10m", "+10m")
"""How far a clock is off."""
CLOCKS_OF = {"directory": "-10m", "gateway": "+10m"}
"""Whose, and how far in a short run."""


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--faults") == "full")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each fault come as often as the run wants."""
    if "lengths" in metafunc.fixturenames:
        lengths = FULL if _is_full(metafunc.config) else SHORT
        rounds = range(1, lengths.rounds + 1)
        metafunc.parametrize("lengths", [lengths] * lengths.rounds, ids=[f"round-{n}" for n in rounds])

    for clock, short in CLOCKS_OF.items():
        if clock in metafunc.fixturenames:
            metafunc.parametrize(clock, CLOCKS if _is_full(metafunc.config) else (short,))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give what lasts longer more time, and leave out what a short run has no time for."""
    if not _is_full(config):
        long = [item for item in items if item.get_closest_marker("at_length")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        if "/tests/faults/" in item.path.as_posix() and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600 if _is_full(config) else 180))


def _silent(event: str, **fields: Any) -> None:
    """Faults print nothing."""


@pytest.fixture
async def stage(platform: Platform) -> AsyncIterator[Stage]:
    """The demo's people with their streams open."""
    async with staged(platform.base_url, platform.operator_token, _silent, PATIENCE) as found:
        yield found


__all__ = ["Lengths"]
