"""What a supervisor starts: one declaration a process, for tests as for the whole system."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.ports import LOOPBACK

PROBE_SECONDS = 3.0
LAG_GAUGES = ("preau_consumer_lag", "preau_outbox_age_seconds", "preau_roster_age_seconds", "preau_parked_keys")


@dataclass
class Status:
    """What is known of one part."""

    state: str = "waiting"
    pid: int | None = None
    since: float | None = None
    restarts: int = 0
    last_error: str = ""
    where: str = ""
    """The address of what runs elsewhere."""


def nothing() -> None:
    """What a part does that has nothing to do."""


@dataclass(frozen=True)
class Part:
    """One supervised process. What it calls may block: it is called in a thread."""

    name: str
    command: Callable[[], list[str]]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = nothing
    """Before each start."""
    finish: Callable[[], None] = nothing
    """Once it is ready, before those that need it start."""
    live: Callable[[], bool] = field(default=lambda: True)
    """False when only a restart mends it."""
    lag: Callable[[], dict[str, float]] = field(default=dict)
    folder: Path | None = None
    account: tuple[int, int] | None = None
    stop_signal: int = signal.SIGTERM
    patience: float = 10.0
    """Seconds it may take to stop."""
    marked: bool = True
    """Whether its processes carry the home's mark, by which they are found again."""


@dataclass(frozen=True)
class Elsewhere:
    """A server that is there already and is neither started nor ended here. What it calls may block."""

    name: str
    where: str
    """Its address, without anything secret."""
    ready: Callable[[], bool]
    finish: Callable[[], None] = nothing
    """Once it answers, before those that need it start."""
    needs: tuple[str, ...] = ()


def get(port: int, path: str) -> tuple[int, str]:
    """One request to a part's admin port; status 0 when nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def lag_of(metrics: str) -> dict[str, float]:
    """The largest value of each gauge that tells how far behind a part is."""
    found: dict[str, float] = {}
    for line in metrics.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in LAG_GAUGES:
            value = float(line.rpartition(" ")[2])
            found[name] = max(value, found.get(name, 0.0))
    return found
