"""The fan-out: gives each item to those who may see it now, at once when idle, gathered when hot, never queued."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from time import perf_counter

from chassis.cursor import Cursors
from services.gateway.stream import frames
from services.gateway.stream.pace import Pace, Tempo, Wheel
from services.gateway.stream.reader import Reader, State
from services.gateway.stream.ring import Item, Ring

_PATIENCE_AHEAD = 3


class FanOut:
    """All open streams of a process over one ring. Everything here runs on the loop's thread and never waits."""

    def __init__(self, ring: Ring, cursors: Cursors, pace: Pace, loop: AbstractEventLoop, generation: int = 1) -> None:
        self.ring = ring
        self.cursors = cursors
        self.generation = generation
        self.on_lost: Callable[[Reader], None] = self.reset_too_old
        """Called with a reader who stands before the ring's floor, in state CATCHING_UP."""
        self.sent = 0
        self._pace = pace
        self._loop = loop
        self._tempo = Tempo(pace)
        self.wheel = Wheel(pace.beat)
        self._readers: set[Reader] = set()
        self._by_scope: dict[str, set[Reader]] = {}
        self._dirty: set[Reader] = set()
        # Scopes whose readers are all behind: their next items need no look at each reader until one has caught up.
        self._gathering: set[str] = set()
        self._flush_timer: TimerHandle | None = None
        self._cuts: dict[Reader, TimerHandle] = {}
        self.held = False

    def __len__(self) -> int:
        return len(self._readers)

    def readers(self) -> Iterable[Reader]:
        """All open streams, as they are now."""
        return tuple(self._readers)

    def place(self, position: int) -> str:
        """The shared part of a cursor at a position."""
        return self.cursors.place(self.generation, position)

    # Coming and going

    def join(self, reader: Reader, position: int | None) -> None:
        """Begin to send to a reader: what follows `position`, or what comes from now on when None.

        A position past the head is a cursor from a process that is further: nothing is sent until this one passes it.
        """
        self._readers.add(reader)
        self._listen(reader, reader.scopes)
        self.wheel.add(reader)
        if position is None:
            reader.state = State.CURRENT
            reader.write([frames.beat(self.place(self.ring.head))])
        else:
            self.rejoin(reader, position)

    def rejoin(self, reader: Reader, position: int) -> None:
        """Go on from a position, out of the ring."""
        if reader.state is State.CLOSED:
            return
        reader.state, reader.position = State.BEHIND, position
        self._mark(reader)

    def deliver(self, reader: Reader, shared: list[bytes], items: int) -> None:
        """Write frames that do not come from the ring; `items` of them are items."""
        self.sent += items
        reader.write(shared)

    def leave(self, reader: Reader) -> None:
        """Forget a reader whose connection is gone."""
        reader.state = State.CLOSED
        self._readers.discard(reader)
        self.wheel.discard(reader)
        self._dirty.discard(reader)
        self._unlisten(reader, reader.scopes)
        if timer := self._cuts.pop(reader, None):
            timer.cancel()

    def end(self, reader: Reader) -> None:
        """End a stream in order, so that its client resumes elsewhere; one that does not read is cut."""
        if reader.state is State.CLOSED:
            return
        if reader.paused:
            reader.cut()
        else:
            reader.end()
            self._loop.call_later(self._pace.reader_deadline, reader.sink.abort)
        self.leave(reader)

    def _listen(self, reader: Reader, scopes: Iterable[str]) -> None:
        self._gathering.clear()
        for scope in scopes:
            self._by_scope.setdefault(scope, set()).add(reader)

    def _unlisten(self, reader: Reader, scopes: Iterable[str]) -> None:
        for scope in scopes:
            listeners = self._by_scope.get(scope)
            if listeners is not None:
                listeners.discard(reader)
                if not listeners:
                    del self._by_scope[scope]

    # Sending

    def publish(self, item: Item) -> None:
        """Put the next item of the feed into the ring and give it to who may see it."""
        self.ring.append(item)
        listeners = self._by_scope.get(item.scope)
        if listeners and item.scope not in self._gathering:
            began, now = perf_counter(), self._loop.time()
            at_once = self._tempo.idle() and not self.held
            current = [reader for reader in listeners if self._offer(reader, item, now, at_once)]
            if current:
                self._tempo.wrote(began)
            else:
                self._gathering.add(item.scope)

    def _offer(self, reader: Reader, item: Item, now: float, at_once: bool) -> bool:
        """Give an item or have it gathered; whether the reader is up to date and must be offered the next."""
        if reader.state is State.CURRENT:
            if at_once and now - reader.wrote_at >= self._tempo.gather:
                reader.wrote_at = now
                self.sent += 1
                reader.sink.write(item.frame + reader.ending)
                return True
            reader.state, reader.position = State.BEHIND, item.offset - 1
        self._mark(reader)
        return False

    def _mark(self, reader: Reader) -> None:
        if reader.state is not State.BEHIND or reader.paused or self.held:
            return
        self._dirty.add(reader)
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(self._tempo.gather, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        began, now = perf_counter(), self._loop.time()
        dirty, self._dirty = self._dirty, set()
        for reader in dirty:
            self._advance(reader, now)
        self._tempo.flushed(began)

    def _advance(self, reader: Reader, now: float) -> None:
        if reader.state is not State.BEHIND or reader.paused or self.held:
            return
        self._gathering.clear()
        if reader.position < self.ring.floor:
            reader.state = State.CATCHING_UP
            self.on_lost(reader)
            return
        run = self.ring.after(reader.position, reader.scopes, self._pace.joined_bytes)
        # The position moves before the write: a write may pause the reader on the spot.
        if run.more:
            reader.position = run.last
        elif reader.position <= self.ring.head:
            reader.state, reader.pages, reader.beats_ahead = State.CURRENT, 0, 0
        if run.frames:
            reader.wrote_at = now
            self.sent += len(run.frames)
            reader.write(run.frames)
        if run.more:
            self._mark(reader)

    def pause(self, reader: Reader) -> None:
        """The reader's write buffer is full: it falls back to its position, and is cut if it reads nothing for long."""
        if reader.state is State.CLOSED:
            return
        if reader.state is State.CURRENT:
            reader.state, reader.position = State.BEHIND, self.ring.head
        reader.paused = True
        self._dirty.discard(reader)
        if reader not in self._cuts:
            self._cuts[reader] = self._loop.call_later(self._pace.reader_deadline, self._cut, reader)

    def resume(self, reader: Reader) -> None:
        """The reader's buffer has room again: what it missed follows in joined writes."""
        reader.paused = False
        if timer := self._cuts.pop(reader, None):
            timer.cancel()
        self.renew(reader)
        self._advance(reader, self._loop.time())

    def _cut(self, reader: Reader) -> None:
        self._cuts.pop(reader, None)
        reader.cut()
        self.leave(reader)

    def hold(self) -> None:
        """Send nothing: rights can't be trusted. Items go on into the ring."""
        self.held = True

    def release(self) -> None:
        """Send again, beginning with what was held."""
        self.held = False
        self._gathering.clear()
        for reader in self._readers:
            self._mark(reader)

    # Generations

    def turn_to(self, generation: int, ring: Ring) -> None:
        """Go on in another generation of the feed: no reader's place means anything in it."""
        self.generation, self.ring = generation, ring
        self._gathering.clear()
        self._dirty.clear()
        for reader in self._readers:
            reader.state = State.STALE

    def renew(self, reader: Reader) -> None:
        """Tell a reader who stands in another generation to begin anew; one whose buffer is full is told once it has room."""
        if reader.state is State.STALE and not reader.paused:
            self.reset(reader, "other-generation")

    # Scopes, heartbeats, resets

    def change(self, reader: Reader, scopes: frozenset[str]) -> None:
        """From now on the reader sees these scopes; it is told each that came or went.

        A reader that can't be told at once is ended instead: its cursor no longer fits its scopes, so it gets a reset.
        """
        if reader.state is State.CLOSED:
            return
        added, removed = scopes - reader.scopes, reader.scopes - scopes
        if not added and not removed:
            return
        self._unlisten(reader, removed)
        reader.see(scopes, self.cursors.reader(str(reader.person), scopes))
        self._listen(reader, added)
        if reader.paused or reader.state is State.CATCHING_UP:
            self.end(reader)
            return
        self.renew(reader)
        self._advance(reader, self._loop.time())
        told = [("scope-removed", scope) for scope in sorted(removed)]
        told += [("scope-added", scope) for scope in sorted(added)]
        self._tell(reader, [(name, {"scope": scope}) for name, scope in told])

    def reset(self, reader: Reader, reason: str) -> None:
        """Tell a reader that its cursor can't be honoured and why; it goes on from now."""
        if reader.state is State.CLOSED:
            return
        reader.state = State.CURRENT
        self._gathering.clear()
        self._tell(reader, [("reset", {"reason": reason})])

    def reset_too_old(self, reader: Reader) -> None:
        """The reader's position can be served no more."""
        self.reset(reader, "too-old")

    def _tell(self, reader: Reader, notices: list[tuple[str, dict[str, str]]]) -> None:
        if reader.state is State.CLOSED:
            return
        place = self.place(self.ring.head if reader.state is State.CURRENT else reader.position)
        reader.write([frames.notice(name, members, place) for name, members in notices])

    def beat(self) -> None:
        """Write the heartbeat of the next part of the readers."""
        due = self.wheel.turn()
        if self.held:
            return
        shared = frames.beat(self.place(self.ring.head))
        for reader in due:
            if reader.paused:
                continue
            if reader.state is State.CURRENT:
                reader.sink.write(shared + reader.ending)
            elif reader.state is State.BEHIND and reader.position > self.ring.head:
                self._beat_ahead(reader)

    def _beat_ahead(self, reader: Reader) -> None:
        # Another process can be ahead of this one for moments, not for beats: then the topic was made anew.
        reader.beats_ahead += 1
        if reader.beats_ahead >= _PATIENCE_AHEAD:
            self.reset(reader, "unknown-place")
        else:
            reader.write([frames.beat(self.place(reader.position))])
