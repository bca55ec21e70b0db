"""Follows a server that runs elsewhere: neither starts nor ends it, and tells whether it answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from infra.local.parts import Elsewhere, Status

ANSWERING_PAUSE, SILENT_PAUSE = 2.0, 0.5


class Onlooker:
    """Follows one server, with the surface of a keeper."""

    def __init__(
        self,
        part: Elsewhere,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        tell: Callable[[str, str], None],
    ) -> None:
        self.part = part
        self.status = Status(where=part.where)
        self.was_ready = asyncio.Event()
        self._in_thread = in_thread
        self._tell = tell
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Look again and again; once it has answered, set up there what is missing."""
        self.status.state = "starting"
        begun = time.monotonic()
        while not self._stopping.is_set():
            answers = await self._answers()
            if answers and not self.was_ready.is_set():
                await self._finish(begun)
            if self.was_ready.is_set():
                self.status.state = "ready" if answers else "unready"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWERING_PAUSE if answers else SILENT_PAUSE):
                    await self._stopping.wait()
        self.status.state = "stopped"

    async def stop(self) -> None:
        """Look no longer; the server goes on."""
        self._stopping.set()

    async def _answers(self) -> bool:
        try:
            if await self._in_thread(self.part.ready):
                return True
            self._note(f"doesn't answer at {self.part.where}")
        except Exception as error:  # Whatever keeps it from answering is told, and it is asked again
            self._note(f"doesn't answer at {self.part.where}: {error}")
        return False

    async def _finish(self, begun: float) -> None:
        try:
            await self._in_thread(self.part.finish)
        except Exception as error:  # Told, and tried again at the next look
            self._note(f"answers at {self.part.where} but could not be set up: {error}")
            return
        self.was_ready.set()
        self.status.since = time.time()
        self._tell(self.part.name, f"ready at {self.part.where} in {time.monotonic() - begun:.1f} s")

    def _note(self, error: str) -> None:
        """Keep an error, and tell of it while people wait for the start."""
        if error != self.status.last_error and not self.was_ready.is_set():
            self._tell(self.part.name, error)
        self.status.last_error = error
