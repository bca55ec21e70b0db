"""Wrong clocks: processes whose wall clock is off, by Debian's faketime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
# A build has it (`.ci/run`): there, a test that is passed over would be a fault that nobody looked at.
needs_faketime = pytest.mark.skipif(
    _FAKETIME is None and not os.environ.get("CI"), reason="Debian's faketime is not installed"
)


def off(by: str) -> dict[str, str]:
    """The environment of a process whose clock is off."""
    assert _FAKETIME is not None, "Debian's faketime is not installed"
    # Monotonic time stays as it is: it is the wall's clock that is wrong.
    return {"LD_PRELOAD": str(_FAKETIME), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
