"""Rights that change without an event: a date is reached, or a school opens its data to another kind of link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from chassis.database import UNREACHABLE, Database
from roster import store
from services.gateway.stream.reader import Reader
from services.gateway.stream.rights import Rights, RosterBehind

_LONGEST_SLEEP = 60.0
_JUDGED_AT_ONCE = 100
_READ_AT_ONCE = 200
_AGAIN_SECONDS = 0.1
_log = logging.getLogger(__name__)


async def keep_dates(rights: Rights) -> None:
    """Judge every reader's dates whenever a new day begins in some school's zone; for ever."""
    days = rights.days()
    while True:
        # Never one long sleep: the machine's clock may be set, and a new school may bring a zone.
        await asyncio.sleep(min(rights.seconds_to_midnight() + 0.01, _LONGEST_SLEEP))
        if (now := rights.days()) != days:
            days = now
            await _judge_all(rights)


async def _judge_all(rights: Rights) -> None:
    for count, reader in enumerate(rights.readers(), 1):
        rights.judge(reader)
        if count % _JUDGED_AT_ONCE == 0:
            await asyncio.sleep(0)


class SchoolWatch:
    """Reads scopes anew that were read before a school's change, once the roster holds it."""

    def __init__(self, rights: Rights, database: Database, tell: Callable[[Reader, frozenset[str]], None]) -> None:
        self._rights = rights
        self._database = database
        self._tell = tell
        self._wanted = 0
        self._changed = asyncio.Event()
        rights.on_school = self.changed

    def changed(self, sequence: int) -> None:
        """A school was changed at this position of the directory."""
        self._wanted = max(self._wanted, sequence)
        self._changed.set()

    async def keep(self) -> None:
        """Follow for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            readers = self._rights.read_before(self._wanted)
            for start in range(0, len(readers), _READ_AT_ONCE):
                await self._read_anew(readers[start : start + _READ_AT_ONCE])

    async def _read_anew(self, readers: Sequence[Reader]) -> None:
        while readers := [reader for reader in readers if self._rights.follows(reader)]:
            try:
                async with self._database.connection() as connection:
                    read = await store.read_scopes_of(connection, [reader.person for reader in readers])
            except UNREACHABLE as error:
                _log.warning("scopes not read", extra={"cause": type(error).__name__})
            else:
                readers = [reader for reader in readers if not self._attach(reader, read[reader.person])]
                if not readers:
                    return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _attach(self, reader: Reader, read: store.ReaderScopes) -> bool:
        """Have a reader see what was read; False where it must be read again: that is older than the change."""
        if not self._rights.follows(reader):
            return True
        if read.position < self._wanted:
            return False
        try:
            scopes = self._rights.attach(reader, reader.person, read)
        except RosterBehind:
            return False
        self._tell(reader, scopes)
        return True
