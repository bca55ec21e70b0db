"""Rebuilding the feed: a generation is begun, built beside the one that serves, and takes its place in one transaction.

What is in the new one: all that domains tell from the moment it was begun, and what they replay for it (the operator's
command asks them). Each step may be done again, by whoever comes after the one that was killed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from chassis import audit, groups
from chassis.database import Connection, Database
from chassis.identity import Caller
from chassis.outbox import append, lock_keys, outgoing
from chassis.problems import Problem, busy, not_found
from contracts import feed, generations
from services.feed import consumers, store, usecases
from services.feed.store import Generation

_PATIENCE = 4.0
"""Seconds a switch waits for the new generation to take in what was written when it was asked for."""
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Standing:
    """A generation, its topic, and how many records its two consumers are behind."""

    generation: Generation
    topic: str
    behind: int


class Rebuild:
    """What operators do to generations."""

    def __init__(self, database: Database, bootstrap: str) -> None:
        self._database = database
        self._bootstrap = bootstrap

    async def standing(self) -> list[Standing]:
        """All generations that are not gone, and the last of those that are."""
        async with self._database.connection() as connection:
            known = await _generations(connection)
        return [await self._standing(one) for one in known]

    async def _standing(self, one: Generation) -> Standing:
        kept = one.state in ("building", "serving")
        behind = sum([await self._behind(group, topics) for group, topics in _groups(one.generation)]) if kept else 0
        return Standing(one, feed.topic_of(one.generation), behind)

    async def _behind(self, group: str, topics: tuple[str, ...]) -> int:
        try:
            return await groups.behind(self._bootstrap, group, await groups.ends(self._bootstrap, topics))
        except (KafkaError, OSError) as error:
            raise busy("Kafka cannot be asked how far the feed is.") from error

    async def begin(self, by: Caller, number: int) -> Standing:
        """Build a generation from now on; where it is building or serves already nothing happens."""
        async with self._database.transaction() as connection:
            known = {one.generation: one for one in await _generations(connection, lock=True)}
            found = known.get(number)
            if found is None:
                found = await self._begin(connection, by, number, list(known.values()))
        if found.state not in ("building", "serving"):
            raise _conflict("generation-over", f"Generation {number} is {found.state}")
        return await self._standing(found)

    async def _begin(self, connection: Connection, by: Caller, number: int, known: list[Generation]) -> Generation:
        if number != known[-1].generation + 1:
            raise _conflict("not-next", f"The next generation is {known[-1].generation + 1}")
        for one in known:
            if one.state == "building":
                raise _conflict("another-builds", f"Generation {one.generation} is building: complete or abandon it")
        await self._mark_beginning(number)
        await store.begin(connection, number)
        await audit.record(connection, audit.Entry(by.subject, "feed.rebuild.begin", f"generations/{number}"))
        return Generation(number, "building", -1, 0)

    async def _mark_beginning(self, number: int) -> None:
        # Nobody reads in these groups before the generation is known; whatever is told from here on is taken in.
        try:
            if await groups.partitions(self._bootstrap, feed.topic_of(number)) != 1:
                raise _conflict("no-topic", f"Make the topic {feed.topic_of(number)} with one partition first")
            await groups.begin_at_end(self._bootstrap, consumers.projector(number), consumers.DOMAIN_TOPICS)
        except (KafkaError, OSError) as error:
            raise busy("Kafka cannot be reached.") from error

    async def switch(self, by: Caller, number: int) -> Standing:
        """Have a generation serve; raises a 409 problem while it has not taken in all, or has parked keys."""
        async with self._database.connection() as connection:
            found = await self._find(connection, number)
        if found.state == "building":
            await self._until_caught_up(number)
            async with self._database.transaction() as connection:
                await _generations(connection, lock=True)
                found = await self._find(connection, number)
                if found.state == "building":
                    await self._switch(connection, by, number)
                    found = await self._find(connection, number)
        if found.state != "serving":
            raise _conflict("generation-over", f"Generation {number} is {found.state}")
        return await self._standing(found)

    async def _switch(self, connection: Connection, by: Caller, number: int) -> None:
        parked = await store.parked(connection, (consumers.projector(number), consumers.history(number)))
        if parked:
            raise _conflict("parked-keys", f"{parked} keys of the new generation are parked: see `preau dlq list`")
        await store.retire(connection, (await usecases.serving(connection)).generation)
        await store.serve(connection, number)
        await announce(connection)
        await audit.record(connection, audit.Entry(by.subject, "feed.rebuild.switch", f"generations/{number}"))

    async def _find(self, connection: Connection, number: int) -> Generation:
        for one in await _generations(connection):
            if one.generation == number:
                return one
        raise not_found()

    async def _until_caught_up(self, number: int) -> None:
        """Wait until the new history holds what domains had told when this was asked for."""
        deadline = time.monotonic() + _PATIENCE
        try:
            for group, topics in _groups(number):
                to = await groups.ends(self._bootstrap, topics)
                while left := await groups.behind(self._bootstrap, group, to):
                    if time.monotonic() > deadline:
                        raise _conflict("behind", f"{left} records are to be taken in; ask again")
                    await asyncio.sleep(_PAUSE)
        except (KafkaError, OSError) as error:
            raise busy("Kafka cannot be asked how far the feed is.") from error

    async def abandon(self, by: Caller, number: int) -> None:
        """Give up a generation that is building; what it has is removed."""
        async with self._database.transaction() as connection:
            await _generations(connection, lock=True)
            found = await self._find(connection, number)
            if found.state == "serving":
                raise _conflict("serving", "The generation that serves can't be abandoned")
            if found.state == "building":
                await store.retire(connection, number)
                await audit.record(connection, audit.Entry(by.subject, "feed.rebuild.abandon", f"generations/{number}"))


async def _generations(connection: Connection, *, lock: bool = False) -> list[Generation]:
    if not await store.knows_lineage(connection):
        raise usecases.unknown_lineage()
    return await store.generations(connection, lock=lock)


async def announce(connection: Connection) -> None:
    """Owe gateways the news of which generation serves."""
    number = (await usecases.serving(connection)).generation
    event = generations.GenerationServes(generation=number, topic=feed.topic_of(number))
    await lock_keys(connection, [generations.KEY])
    await append(connection, [outgoing(generations.TOPIC, event, source=generations.SOURCE, key=generations.KEY)])


def _groups(number: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The consumers of a generation and what they read, in the order in which items pass them."""
    return (
        (consumers.projector(number), consumers.DOMAIN_TOPICS),
        (consumers.history(number), (feed.topic_of(number),)),
    )


def _conflict(code: str, detail: str) -> Problem:
    return Problem(409, code, "Not as the feed stands", detail=detail)
