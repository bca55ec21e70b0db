"""Cause before effect: an event waits until the replica knows what its writer knew when it decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from chassis.consumer import Handler, Received
from chassis.database import Connection
from roster import store

PATIENCE_SECONDS = 30.0
"""How long events wait for the directory; less than what a consumer that doesn't poll is given."""
_POLL_SECONDS = 0.02


class DirectoryBehind(Exception):
    """The replica has not reached the place in the directory on which an event's writer decided."""


class CauseFirst:
    """A handler that lets events through once the replica has reached their place in the directory.

    The wait is counted once for a place, not once an attempt: when it is over, events beyond the replica fail at once,
    and the inbox parks their keys. `alive` is called meanwhile: a consumer that waits is not stuck.
    """

    def __init__(self, handle: Handler, alive: Callable[[], None], patience: float = PATIENCE_SECONDS) -> None:
        self._handle = handle
        self._alive = alive
        self._patience = patience
        self._reached = -1
        self._waiting_since = 0.0

    async def __call__(self, connection: Connection, events: Sequence[Received]) -> None:
        """Wait for the replica, then handle; raises `DirectoryBehind` when patience is over."""
        needed = max((event.envelope.directory_position or 0 for event in events), default=0)
        while (reached := await store.position(connection)) < needed:
            self._check(reached)
            self._alive()
            await asyncio.sleep(_POLL_SECONDS)
        await self._handle(connection, events)

    def _check(self, reached: int) -> None:
        now = time.monotonic()
        if reached != self._reached:
            self._reached, self._waiting_since = reached, now
        elif now - self._waiting_since > self._patience:
            raise DirectoryBehind(f"the directory is at {reached}")
