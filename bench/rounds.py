"""How often every benchmark alternates floor and platform: three times, or as `preau bench --rounds` says."""

from __future__ import annotations

import os

VARIABLE = "PREAU_BENCH_ROUNDS"
DEFAULT = 3


def rounds() -> int:
    """Rounds of this run, at least one."""
    return max(1, int(os.environ.get(VARIABLE, DEFAULT)))
