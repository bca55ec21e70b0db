"""Cause before effect: an event waits until the replica knows what its writer knew when it decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from chassis.consumer import Handler, Received
from chassis.database import Connection, Unavailable
from roster import store

PATIENCE_SECONDS = 30.0
"""How long the directory may go on without what an event rests on; less than what a consumer that doesn't poll is given."""
_POLL_SECONDS = 0.02


class DirectoryBehind(Exception):
    """The directory goes on, and has still not come to the place on which an event's writer decided."""


class CauseFirst:
    """A handler that lets events through once the replica has reached their place in the directory.

    A replica that hears nothing is no fault of the events: they wait, for however long, in one transaction after the
    other. Where it goes on to hear of the directory and is not there a while after it was first waited for, the place
    will not come: events beyond the replica fail, and the inbox parks their keys. That is counted once for a place, not
    once an attempt. `alive` is called meanwhile: a consumer that waits is not stuck.
    """

    def __init__(self, handle: Handler, alive: Callable[[], None], patience: float = PATIENCE_SECONDS) -> None:
        self._handle = handle
        self._alive = alive
        self._patience = patience
        # Of parked events, so as many as may be parked; those that are reached are forgotten.
        self._waited_since: dict[int, float] = {}

    async def __call__(self, connection: Connection, events: Sequence[Received]) -> None:
        """Wait for the replica, then handle; raises `DirectoryBehind`, or `Unavailable` where it is to be tried again."""
        places = {event.envelope.directory_position or 0 for event in events}
        begun = time.monotonic()
        while (reached := await store.position(connection)) < max(places, default=0):
            self._note(places, reached)
            await self._check(connection, max(places))
            if time.monotonic() - begun > self._patience:
                raise Unavailable(f"the directory is not heard of, and is at {reached}")
            self._alive()
            await asyncio.sleep(_POLL_SECONDS)
        await self._handle(connection, events)

    def _note(self, places: set[int], reached: int) -> None:
        now = time.monotonic()
        known = self._waited_since | {place: now for place in places if place not in self._waited_since}
        self._waited_since = {place: since for place, since in known.items() if place > reached}

    async def _check(self, connection: Connection, place: int) -> None:
        waited = time.monotonic() - self._waited_since[place]
        # What the replica last heard was all that the directory had said by then.
        if waited > self._patience and waited - (await store.standing(connection)).age > self._patience:
            raise DirectoryBehind(f"the directory goes on and has not come to {place}")
