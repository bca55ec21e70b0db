"""Durable timers: work due at a wall time of a zone, judged by the database's clock, done once, late rather than never."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from chassis import telemetry
from chassis.database import UNREACHABLE, Connection, Database

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_fired = telemetry.meter.create_counter("preau_timers_fired", description="Timers whose work was committed")
_late = telemetry.meter.create_histogram("preau_timer_late_seconds", "s", "How late a timer's work began")

_SET = """
    INSERT INTO timers (name, subject, wall, zone)
    SELECT name, subject, wall, zone
    FROM unnest($1::text[], $2::text[], $3::timestamp[], $4::text[]) AS due (name, subject, wall, zone)
    ON CONFLICT (name, subject) DO UPDATE
        SET wall = excluded.wall, zone = excluded.zone, attempts = 0, not_before = '-infinity'
"""
# A wall time ahead of every zone's clock by a day cannot be due: that bound is what the index can use.
_CLAIM = """
    SELECT name, subject, wall, zone, attempts,
           extract(epoch FROM clock_timestamp() - wall AT TIME ZONE zone)::float8 AS late
    FROM timers
    WHERE wall <= (clock_timestamp() AT TIME ZONE 'UTC') + interval '1 day'
      AND wall AT TIME ZONE zone <= clock_timestamp() AND not_before <= clock_timestamp()
      AND name = ANY($1::text[])
    ORDER BY wall LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_NEXT = """
    SELECT extract(epoch FROM min(greatest(wall AT TIME ZONE zone, not_before)) - clock_timestamp())::float8
    FROM timers
    WHERE wall <= (clock_timestamp() AT TIME ZONE 'UTC') + interval '1 day' AND name = ANY($1::text[])
"""
_DONE = "DELETE FROM timers WHERE name = $1 AND subject = $2"
_AGAIN = """
    UPDATE timers SET attempts = attempts + 1,
           not_before = clock_timestamp() + make_interval(secs => least(power(2, attempts), 300))
    WHERE name = $1 AND subject = $2
"""


@dataclass(frozen=True, slots=True)
class Timer:
    """Something due: what (`name`), for what (`subject`), when (`wall`, naive, in the IANA zone `zone`)."""

    name: str
    subject: str
    wall: datetime
    zone: str


Work = Callable[[Connection, str], Awaitable[None]]
"""What a timer does with its subject, in the transaction that also removes the timer."""


async def set_timers(connection: Connection, timers: Sequence[Timer]) -> None:
    """Set timers, replacing those of the same name and subject."""
    await connection.execute(
        _SET,
        [t.name for t in timers],
        [t.subject for t in timers],
        [t.wall for t in timers],
        [t.zone for t in timers],
    )


async def cancel_timer(connection: Connection, name: str, subject: str) -> None:
    """Remove a timer that has not fired; nothing happens where there is none."""
    await connection.execute(_DONE, name, subject)


class Timers:
    """Fires what is due; several processes may share a database, and each timer is fired by one."""

    def __init__(self, database: Database, work: dict[str, Work]) -> None:
        self._database = database
        self._work = work
        self._names = list(work)

    async def run(self) -> None:
        """Fire timers for ever."""
        while True:
            pause = _POLL_SECONDS
            try:
                following = await self._seconds_to_next()
                while following <= 0 and await self._fire_one():
                    pass
                pause = min(_POLL_SECONDS, max(0.005, following))
            except UNREACHABLE as error:
                _log.warning("timers interrupted", extra={"cause": type(error).__name__})
            await asyncio.sleep(pause)

    async def _seconds_to_next(self) -> float:
        async with self._database.connection() as connection:
            following: float | None = await connection.fetchval(_NEXT, self._names)
        return _POLL_SECONDS if following is None else following

    async def _fire_one(self) -> bool:
        """Do one due timer's work; false when none is due. A timer that fails is tried again, ever later."""
        try:
            return await self._fire()
        except _Failed as failed:
            _log.error("timer failed", exc_info=failed.__cause__, extra={"timer": failed.name})
            async with self._database.transaction() as connection:
                await connection.execute(_AGAIN, failed.name, failed.subject)
            return True

    async def _fire(self) -> bool:
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_CLAIM, self._names)
            if row is None:
                return False
            try:
                await self._work[row["name"]](connection, row["subject"])
            except UNREACHABLE:
                raise
            except (Exception, asyncpg.PostgresError) as error:
                raise _Failed(row["name"], row["subject"]) from error
            await connection.execute(_DONE, row["name"], row["subject"])
        _fired.add(1, {"timer": row["name"]})
        _late.record(max(0.0, row["late"]), {"timer": row["name"]})
        return True


class _Failed(Exception):
    def __init__(self, name: str, subject: str) -> None:
        super().__init__(name)
        self.name = name
        self.subject = subject
