"""The courier: lanes that claim, send and settle batch after batch, side by side with those of other processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

import asyncpg

from chassis import telemetry
from chassis.database import UNREACHABLE, Database
from services.notify.domain import Outcome, State
from services.notify.letters import Letter, Send
from services.notify.settings import NotifySettings
from services.notify.store import messages
from services.notify.usecases import sending
from services.notify.usecases.sending import Batch

_POLL_SECONDS = 1.0
_PRUNE_ROWS = 1000
_PRUNE_SECONDS = 60.0
_log = logging.getLogger(__name__)
_sends = telemetry.meter.create_counter("preau_notify_sends", description="Attempts to send and cancellations")
_repeats = telemetry.meter.create_counter(
    "preau_notify_possible_repeats", description="Messages sent again that may have been accepted before"
)
_seconds = telemetry.meter.create_histogram(
    "preau_notify_fact_to_sent_seconds", "s", "From a fact to its message accepted by the server"
)


class Courier:
    """Sends what is due for as long as the process lives."""

    def __init__(self, database: Database, channels: Mapping[str, Send], settings: NotifySettings) -> None:
        self._database = database
        self._channels = channels
        self._settings = settings
        self._kept = timedelta(days=settings.message_days)
        # One token, one lane woken: the others are woken by a lane that finds more than it can take.
        self._work: asyncio.Queue[None] = asyncio.Queue(maxsize=1)
        self._stopping = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._depth = messages.Depth(0, 0, 0.0)
        telemetry.gauge("preau_notify_queue_depth", "Messages not settled", lambda: self._depth.queued, state="queued")
        telemetry.gauge(
            "preau_notify_queue_depth", "Messages not settled", lambda: self._depth.sending, state="sending"
        )
        telemetry.gauge(
            "preau_notify_queue_age_seconds", "Age of the oldest message due", lambda: self._depth.oldest_seconds
        )
        database.after_commit(self.wake)

    def wake(self) -> None:
        """There may be something to send."""
        with contextlib.suppress(asyncio.QueueFull):
            self._work.put_nowait(None)

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.send_lanes):
                group.create_task(self._lane(), name=f"lane {number}")

    async def drain(self) -> None:
        """Claim no more, and let what is being sent be settled for as long as a stopping process may take."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._idle.wait()

    async def _lane(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._work.get()
            while not self._stopping and await self._turn():
                pass

    async def _turn(self) -> bool:
        """One batch; returns whether there may be more."""
        self._busy += 1
        self._idle.clear()
        try:
            batch = await self._claim()
            if batch.taken == self._settings.send_batch:
                self.wake()
            await asyncio.gather(*(self._deliver(name, letters, batch) for name, letters in batch.letters.items()))
            return batch.taken > 0
        except (asyncpg.SerializationError, asyncpg.UniqueViolationError):
            # Another worker took a message in the moment between this one's snapshot and its claim.
            return True
        except UNREACHABLE as error:
            _log.warning("sending interrupted", extra={"cause": type(error).__name__})
            return False
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _claim(self) -> Batch:
        settings = self._settings
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            batch = await sending.claim(
                connection, settings.send_batch, settings.lease_seconds, self._kept, settings.silence_seconds
            )
        for channel, reason in batch.cancelled:
            _sends.add(1, {"channel": channel, "outcome": reason})
        if batch.repeats:
            _repeats.add(batch.repeats)
        return batch

    async def _deliver(self, channel: str, letters: Sequence[Letter], batch: Batch) -> None:
        outcomes = await self._channels[channel](letters)
        settled = await self._settle(letters, outcomes, batch)
        for _, state, seconds in settled:
            if state == State.SENT:
                _seconds.record(seconds, {"channel": channel})
        for outcome, number in Counter(outcome.result for outcome in outcomes).items():
            _sends.add(number, {"channel": channel, "outcome": outcome})

    async def _settle(
        self, letters: Sequence[Letter], outcomes: Sequence[Outcome], batch: Batch
    ) -> list[tuple[int, str, float]]:
        """Store outcomes, again while the database is away and the lease lasts: what is not stored is sent again."""
        async with asyncio.timeout(self._settings.lease_seconds / 2):
            while True:
                try:
                    async with self._database.connection() as connection:
                        return await sending.settle(
                            connection, letters, outcomes, batch.lease, self._settings.send_attempts
                        )
                except (*UNREACHABLE, asyncpg.UniqueViolationError) as error:
                    _log.warning("outcomes not stored, trying again", extra={"cause": type(error).__name__})
                await asyncio.sleep(0.05)

    async def measure(self, every: float = 2.0) -> None:
        """Follow the queue for ever."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                async with self._database.connection() as connection:
                    self._depth = await messages.depth(connection)
            await asyncio.sleep(every)

    async def prune(self, every: float = _PRUNE_SECONDS) -> None:
        """Drop what was settled long ago, for ever."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                gone = _PRUNE_ROWS
                while gone == _PRUNE_ROWS:
                    async with self._database.connection() as connection:
                        gone = await messages.prune(connection, self._settings.message_days, _PRUNE_ROWS)
            await asyncio.sleep(every)
