"""Rights that change without an event: a date is reached, or a school opens its data to another kind of link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from chassis.database import UNREACHABLE, Database
from roster import store
from services.gateway.stream.reader import Reader
from services.gateway.stream.rights import Rights, RosterBehind

_LONGEST_SLEEP = 60.0
_JUDGED_AT_ONCE = 100
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
    """Reads every reader's scopes anew once the roster holds a school's change."""

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
            for reader in self._rights.readers():
                await self._read_anew(reader)

    async def _read_anew(self, reader: Reader) -> None:
        while self._rights.follows(reader):
            try:
                async with self._database.connection() as connection:
                    read = await store.read_scopes(connection, reader.person)
            except UNREACHABLE as error:
                _log.warning("scopes not read", extra={"cause": type(error).__name__})
            else:
                if read.position >= self._wanted and self._attach(reader, read):
                    return
            await asyncio.sleep(0.1)

    def _attach(self, reader: Reader, read: store.ReaderScopes) -> bool:
        if not self._rights.follows(reader):
            return True
        try:
            scopes = self._rights.attach(reader, reader.person, read)
        except RosterBehind:
            return False
        self._tell(reader, scopes)
        return True
