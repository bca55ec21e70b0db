"""How often every benchmark alternates floor and platform: three times, or as `preau bench --rounds` says."""

from __future__ import annotations

import os

VARIABLE = "PREAU_BENCH_ROUNDS"
ROUNDS = int(os.environ.get(VARIABLE, "3"))
