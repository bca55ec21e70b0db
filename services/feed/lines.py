"""The lines of a process: for each generation that is kept a projector and a history, begun and ended as generations are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from chassis import consumer
from chassis.consumer import Inbox
from chassis.database import UNREACHABLE, Database
from chassis.forwarding import Forwarder
from chassis.health import Health
from chassis.repeats import not_known
from contracts.envelope import new_id
from services.feed import consumers, lineage, store, usecases
from services.feed.settings import FeedSettings
from services.feed.store import Generation

_POLL_SECONDS = 1.0
_REMOVED_AT_ONCE = 2_000
_log = logging.getLogger(__name__)


class Line:
    """One generation's consumers in this process."""

    def __init__(self, database: Database, settings: FeedSettings, generation: int) -> None:
        self.health = Health()
        self.health.started = True
        self._forwarder = Forwarder(
            database,
            settings.kafka,
            service="feed",
            consumer=consumers.projector(generation),
            turn=usecases.turner(generation),
        )
        self._inbox = Inbox(
            database,
            service="feed",
            consumer=consumers.history(generation),
            only_new=not_known,
        )
        broker = consumer.broker(settings.kafka)
        # The history's process, the first by name, is let off some of the projecting: both groups know it by one name.
        process = settings.instance or new_id()
        consumers.project(broker, self._forwarder, generation, process)
        consumers.keep(broker, self._inbox, generation, process)
        for consumption in (self._forwarder.consumption, self._inbox.consumption):
            consumption.watch(self.health)
        running = consumer.keep_running(broker, self.health, settings.instance)
        self._task = asyncio.create_task(running, name=f"generation {generation}")

    def check(self) -> None:
        """Raise what ended the line, should it have ended by itself."""
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """End the line."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task
        await self._forwarder.stop()
        for consumption in (self._forwarder.consumption, self._inbox.consumption):
            consumption.ended()


class Lines:
    """Keeps a line for each generation that is building or serves, once it is known which; removes what retired ones left."""

    def __init__(self, database: Database, settings: FeedSettings, health: Health) -> None:
        self._database = database
        self._settings = settings
        self._lines: dict[int, Line] = {}
        self._serving = 0
        health.live("generations", lambda: _words(line.health.not_live() for line in self._lines.values()))
        health.ready("generations", self._not_ready)

    def _not_ready(self) -> str | None:
        # One that is building answers nobody yet.
        line = self._lines.get(self._serving)
        return "not started" if line is None else _words([line.health.not_ready()])

    async def keep(self) -> None:
        """Keep them for ever."""
        taken_up = False
        try:
            while True:
                try:
                    if not taken_up:
                        await lineage.take_up(self._database, self._settings.kafka)
                        taken_up = True
                    await self._match()
                except (KafkaError, *UNREACHABLE) as error:
                    _log.warning("generations not read", extra={"cause": type(error).__name__})
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            for line in self._lines.values():
                await line.stop()

    async def _match(self) -> None:
        async with self._database.connection() as connection:
            known = await store.generations(connection)
        kept = {one.generation for one in known if one.state in ("building", "serving")}
        for generation in kept - self._lines.keys():
            _log.info("generation begins", extra={"generation": generation})
            self._lines[generation] = Line(self._database, self._settings, generation)
        self._serving = next(one.generation for one in known if one.state == "serving")
        for generation in self._lines.keys() - kept:
            _log.info("generation ends", extra={"generation": generation})
            await self._lines.pop(generation).stop()
        for line in self._lines.values():
            line.check()
        for one in known:
            if one.state == "retired":
                await self._remove(one)

    async def _remove(self, retired: Generation) -> None:
        names = (consumers.projector(retired.generation), consumers.history(retired.generation))
        more = True
        while more:
            async with self._database.transaction() as connection:
                more = await store.remove_some(connection, retired.generation, names, _REMOVED_AT_ONCE)


def _words(failing: Iterable[dict[str, str]]) -> str | None:
    found = [f"{name}: {wrong}" for one in failing for name, wrong in one.items()]
    return "; ".join(found) or None
