"""What comes in from Kafka: rights before items, repeats dropped, and nothing sent while rights can't be trusted."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from chassis import telemetry
from chassis.consumer import Record
from chassis.database import UNREACHABLE, Database
from chassis.health import Health
from contracts.directory import BEAT_KEY
from contracts.envelope import BadEnvelope, Envelope, from_headers
from contracts.feed import ItemPut, ItemRemoved
from roster import store
from roster.freshness import Freshness
from services.gateway.stream import frames
from services.gateway.stream.directory_log import change
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.generations import Generations, Serving
from services.gateway.stream.reader import State
from services.gateway.stream.rights import Rights, RosterBehind
from services.gateway.stream.ring import Item, Ring
from services.gateway.stream.tail import RepeatGuard, Tail

_KEYS_GUARDED = 50_000
_WAIT_UNREADY_SECONDS = 10.0
_RENEW_SECONDS = 0.1
_RENEWED_AT_ONCE = 50
"""Readers told in a turn to begin anew: each asks for a page at once, so 500 a second in a process."""
_EVENTS = {ItemPut.TYPE: "item", ItemRemoved.TYPE: "removed"}
_log = logging.getLogger(__name__)
_latency = telemetry.meter.create_histogram("preau_post_to_stream_seconds", "s", "From the fact's time to the streams")


class Intake:
    """The tails of a process and what they are given to; `ring` makes an empty ring."""

    def __init__(
        self,
        fanout: FanOut,
        rights: Rights,
        generations: Generations,
        directory: Tail,
        freshness: Freshness,
        database: Database,
        ring: Callable[[], Ring],
    ) -> None:
        self.freshness = freshness
        self._fanout = fanout
        self._rights = rights
        self._generations = generations
        self._feed: Tail | None = None
        self._directory = directory
        self._ring = ring
        self._database = database
        self._guard = RepeatGuard(_KEYS_GUARDED)
        self._moved = asyncio.Event()
        self._started = asyncio.Event()
        self._broken: str | None = None
        self._waiting_since: float | None = None
        fanout.hold()

    @property
    def ready(self) -> bool:
        """Whether streams may be opened and sent to."""
        return self._started.is_set() and self._caught_up and not self._fanout.held

    @property
    def _caught_up(self) -> bool:
        return self._feed is not None and self._feed.caught_up

    async def close(self) -> None:
        """Disconnect."""
        if self._feed is not None:
            await self._feed.close()

    def watch(self, health: Health) -> None:
        """Report what keeps streams from being served."""
        health.ready("directory", self._directory_check)
        health.ready("feed", self._feed_check)

    def _directory_check(self) -> str | None:
        if self._broken:
            return self._broken
        if not self._started.is_set():
            return "the roster has not reached the directory's recent changes"
        return self.freshness.wrong()

    def _feed_check(self) -> str | None:
        if not self._caught_up:
            return "still reading recent items"
        since = self._waiting_since
        if since is not None and time.monotonic() - since > _WAIT_UNREADY_SECONDS:
            return "an item waits for a change of the directory"
        return None

    # The directory

    async def follow_directory(self, back: int) -> None:
        """Take the directory's changes in for ever, from at least one document back if there is any."""
        await self._directory.begin(back)
        async for records in self._directory.batches():
            for record in records:
                self._take_change(record)
            # Before anything is waited for: an item must not go out on rights that have just become doubtful.
            self._judge()
            await self._directory.taken()
            self._moved.set()
            await self._hear(records)
            if self._directory.caught_up and not self._started.is_set():
                back = await self._look_further_back(back)

    async def _look_further_back(self, back: int) -> int:
        # A quiet weekend is beats alone, which have no sequence: only a document tells where the log begins.
        if self._directory.start == self._directory.beginning:
            self._rights.log.complete()
        elif not len(self._rights.log):
            back *= 4
            await self._directory.begin(back)
        return back

    async def _hear(self, records: Sequence[Record]) -> None:
        if not records:
            await self.freshness.read(None)
        elif self._directory.is_last(records[-1]):
            await self.freshness.read(records[-1].offset)
        self._judge()

    def _take_change(self, record: Record) -> None:
        try:
            envelope = from_headers(record.headers, record.key)
            if envelope.key != BEAT_KEY and envelope.sequence is not None and not self._broken:
                self._rights.apply(change(envelope.sequence, envelope.key, record.value))
        except (BadEnvelope, ValidationError, ValueError) as error:
            # Rights that miss a change may be wrong: better nothing is sent until someone has looked.
            self._broken = f"the directory's record at offset {record.offset} cannot be read: {type(error).__name__}"
            _log.critical("directory record unreadable", extra={"offset": record.offset})

    def _judge(self) -> None:
        trusted = self._started.is_set() and self.freshness.fresh and not self._broken
        if trusted and self._fanout.held:
            self._fanout.release()
        elif not trusted and not self._fanout.held:
            _log.error("streams held", extra={"directory_age": round(self.freshness.age)})
            self._fanout.hold()

    async def _begin(self) -> None:
        """Start once the roster and the log of recent changes meet."""
        while not await self._met():
            self._moved.clear()
            await self._moved.wait()
        self._started.set()
        self._judge()

    async def _met(self) -> bool:
        if not self._directory.caught_up:
            return False
        try:
            async with self._database.connection() as connection:
                position, standing = await store.position(connection), await store.standing(connection)
                self._rights.know_schools(await store.schools(connection), position)
        except (RosterBehind, *UNREACHABLE):
            return False
        self._rights.log.seed(position)
        if standing.stopped_by is None:
            # What follows stood in the topic when this began, so a beat among it says nothing of now; the roster's does.
            self.freshness.known(standing.age)
        return True

    # The feed

    async def follow_feed(self, back: int) -> None:
        """Take items in for ever, from `back` records ago so that the ring is warm; rights come first."""
        await self._begin()
        serving = await self._generations.first()
        while True:
            await self._turn_to(serving, back)
            serving = await self._follow()
            # Nobody has a place in the new generation yet: who is told begins with a page, and the history reaches it.
            back = 0

    async def _turn_to(self, serving: Serving, back: int) -> None:
        tail = Tail(self._generations.bootstrap, serving.topic)
        await tail.begin(back)
        ring = self._ring()
        ring.begin_at(tail.start)
        before, self._feed, self._guard = self._feed, tail, RepeatGuard(_KEYS_GUARDED)
        self._fanout.turn_to(serving.generation, ring)
        if before is not None:
            _log.warning("feed goes on in another generation", extra={"generation": serving.generation})
            await before.close()

    async def _follow(self) -> Serving:
        """Take a generation's items in until another serves."""
        assert self._feed is not None
        async for records in self._feed.batches():
            taken = [await self._take_item(record) for record in records]
            await self._feed.taken()
            # Not item by item: those that follow would wait for it.
            for seconds in taken:
                if seconds is not None:
                    _latency.record(seconds)
            if (serving := self._generations.serving) and serving.generation != self._fanout.generation:
                return serving
        raise RuntimeError("the tail ended")

    async def renew_readers(self) -> None:
        """Tell readers of another generation to begin anew, not all at the same moment; for ever."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            if self._fanout.held:
                continue
            stale = [reader for reader in self._fanout.readers() if reader.state is State.STALE and not reader.paused]
            for reader in stale[:_RENEWED_AT_ONCE]:
                self._fanout.renew(reader)

    async def _take_item(self, record: Record) -> float | None:
        """Take an item in; how old its fact is, in seconds, where it is news and was given to the streams."""
        try:
            envelope = from_headers(record.headers, record.key)
            item = self._item(record, envelope)
        except (BadEnvelope, ValueError, KeyError, TypeError) as error:
            _log.error("feed record unreadable", extra={"offset": record.offset, "cause": type(error).__name__})
            item = None
        if item is None:
            self._fanout.ring.skip(record.offset)
            return None
        await self._until_reached(envelope.directory_position)
        # What is read back was in its trace when it was news.
        with telemetry.event_span("stream", envelope.traceparent if self._caught_up else None):
            self._fanout.publish(item)
        if not self._caught_up or self._fanout.held or envelope.replay:
            return None
        # A clock that is behind that of the writer's machine makes no item younger than new.
        return max(0.0, (datetime.now(UTC) - envelope.time).total_seconds())

    def _item(self, record: Record, envelope: Envelope) -> Item | None:
        name = _EVENTS.get(envelope.type)
        if name is None or record.value is None:
            return None
        if not self._guard.is_new(envelope.source, envelope.key, envelope.sequence):
            return None
        data = json.loads(record.value)
        scope = f"{data['audience']}:{data['scope']}"
        return Item(record.offset, scope, frames.event(name, record.value, self._fanout.place(record.offset)))

    async def _until_reached(self, position: int | None) -> None:
        """Wait until this process knows the rights on which an item was made; readiness tells when that is long."""
        if position is None or position <= self._rights.log.position:
            return
        self._waiting_since = time.monotonic()
        while position > self._rights.log.position:
            self._moved.clear()
            await self._moved.wait()
        self._waiting_since = None
