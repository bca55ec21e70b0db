"""Writers and relays against a model: whoever waits, rolls back or dies, each key's events come in commit order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chassis import outbox, relay
from chassis.database import Connection
from chassis.migrations import CHASSIS, migrate
from chassis.outbox import decode_headers, lock_keys, outgoing
from chassis.relay import Relay
from contracts.directory import Beat

KEYS = ("a", "b", "c")
WRITERS = 3
BATCH = 2
_Result = TypeVar("_Result")


@dataclass
class Writer:
    """A connection that has a transaction or none: the keys it locked or waits for, and what it has written in it."""

    connection: Connection
    keys: frozenset[str] = frozenset()
    written: list[tuple[str, int]] = field(default_factory=list)
    locking: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody else holds what it asked for."""
        return self.locking is not None and not self.locking.done()


@dataclass
class Turn:
    """The relay that holds the lock: what it has in hand, whether Kafka has that, what it read ahead, what it has to delete."""

    connection: Connection
    batch: list[asyncpg.Record] = field(default_factory=list)
    sent: bool = False
    ahead: list[asyncpg.Record] | None = None
    acknowledged: list[int] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Writers of three keys and the relay's steps on real connections, a list for Kafka, and what was committed."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.committed: dict[str, list[int]] = {key: [] for key in KEYS}
        self.kafka: list[tuple[str, int, int]] = []
        self.on_the_way: list[asyncpg.Record] = []
        self.count = 0
        self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    async def _begin(self) -> None:
        self.writers = [Writer(await asyncpg.connect(self.url)) for _ in range(WRITERS)]
        await self.writers[0].connection.execute("TRUNCATE outbox")
        self.turn = await self._take_turn()

    async def _take_turn(self) -> Turn:
        connection = await asyncpg.connect(self.url)
        await asyncio.wait_for(Relay("test", self.url, "")._locked(connection), 10)
        return Turn(connection)

    # Writers

    def _taken(self) -> set[str]:
        return {key for writer in self.writers for key in writer.keys}

    @precondition(lambda self: not all(one.keys for one in self.writers))
    @rule(keys=st.frozensets(st.sampled_from(KEYS), min_size=1, max_size=2))
    def begin(self, keys: frozenset[str]) -> None:
        """A transaction locks keys and writes to them; one that must wait does, and nobody else waits meanwhile."""
        writer = next(one for one in self.writers if not one.keys)
        free = not keys & self._taken()
        if free or not any(one.waits for one in self.writers):
            self.run(self._lock(writer, keys, free))

    async def _lock(self, writer: Writer, keys: frozenset[str], free: bool) -> None:
        await writer.connection.execute("BEGIN")
        writer.keys, writer.written = keys, []
        writer.locking = asyncio.ensure_future(self._write(writer))
        if free:
            await self._let_in(writer)

    async def _write(self, writer: Writer) -> None:
        await lock_keys(writer.connection, writer.keys)
        await self._append(writer, sorted(writer.keys))

    async def _let_in(self, writer: Writer) -> None:
        assert writer.locking is not None
        await asyncio.wait_for(writer.locking, 10)
        writer.locking = None

    def _open(self) -> list[Writer]:
        return [one for one in self.writers if one.keys and not one.waits]

    @precondition(lambda self: self._open())
    @rule(number=st.integers(0, WRITERS - 1), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3))
    def append(self, number: int, keys: list[str]) -> None:
        writer = self._open()[number % len(self._open())]
        if mine := [key for key in keys if key in writer.keys]:
            self.run(self._append(writer, mine))

    async def _append(self, writer: Writer, keys: list[str]) -> None:
        made = [(key, self.count + place) for place, key in enumerate(keys, 1)]
        self.count += len(made)
        events = [outgoing("t", Beat(), source="/s", key=key, event_id=f"{number}") for key, number in made]
        await outbox.append(writer.connection, events)
        writer.written += made

    @precondition(lambda self: self._open())
    @rule(number=st.integers(0, WRITERS - 1), how=st.sampled_from(["COMMIT", "COMMIT", "ROLLBACK"]))
    def end(self, number: int, how: str) -> None:
        self.run(self._finish(self._open()[number % len(self._open())], how))

    async def _finish(self, writer: Writer, how: str) -> None:
        await writer.connection.execute(how)
        if how == "COMMIT":
            for key, number in writer.written:
                self.committed[key].append(number)
        writer.keys = frozenset()
        for other in self.writers:
            held = {key for one in self.writers if one is not other for key in one.keys}
            if other.waits and not other.keys & held:
                await self._let_in(other)

    # The relay, step by step

    @rule()
    def step(self) -> None:
        """Claim, then send, then go on with what was read ahead; what was acknowledged is deleted by the next claim."""
        turn = self.turn
        if not turn.batch:
            turn.batch = self.run(relay.claim(turn.connection, turn.acknowledged))
            turn.acknowledged = []
        elif not turn.sent:
            self._arrive(turn.batch)
            turn.sent = True
        else:
            acknowledged = [*turn.acknowledged, *self._in_hand()]
            self.turn = Turn(turn.connection, turn.ahead or [], acknowledged=acknowledged)

    @precondition(lambda self: len(self.turn.batch) == BATCH and self.turn.ahead is None)
    @rule()
    def read_ahead(self) -> None:
        self.turn.ahead = self.run(relay.claim(self.turn.connection, self.turn.acknowledged, self._in_hand()))
        self.turn.acknowledged = []

    def _in_hand(self) -> list[int]:
        return [row["id"] for row in self.turn.batch]

    def _arrive(self, rows: list[asyncpg.Record]) -> None:
        for row in rows:
            number = int(dict(decode_headers(row["headers"]))["ce_id"])
            self.kafka.append((row["key"], number, row["id"]))

    @rule(arrives=st.integers(0, BATCH), late=st.booleans())
    def crash(self, arrives: int, late: bool) -> None:
        """A relay dies, and another takes the lock; of what it was sending some arrives, now or after its death."""
        on_the_way = [] if self.turn.sent else self.turn.batch[:arrives]
        if late:
            self.on_the_way = on_the_way
        else:
            self._arrive(on_the_way)
        self.turn.connection.terminate()
        self.turn = self.run(self._take_turn())

    @precondition(lambda self: self.on_the_way)
    @rule()
    def come_late(self) -> None:
        self._arrive(self.on_the_way)
        self.on_the_way = []

    # What must hold

    def _first(self, key: str) -> dict[int, int]:
        """The events of a key as who drops repeats sees them: number and sequence, in the order of their first coming."""
        found: dict[int, int] = {}
        for of, number, sequence in self.kafka:
            if of == key:
                assert found.setdefault(number, sequence) == sequence
        return found

    @invariant()
    def what_came_is_what_was_committed_in_that_order(self) -> None:
        for key in KEYS:
            came = list(self._first(key))
            assert came == self.committed[key][: len(came)], key

    @invariant()
    def sequences_grow_with_each_key(self) -> None:
        for key in KEYS:
            sequences = list(self._first(key).values())
            assert sequences == sorted(set(sequences)), key

    def teardown(self) -> None:
        """Once all have committed and the relay has drained, nothing is missing and nothing is left."""
        try:
            self._drain()
        finally:
            for connection in (self.turn.connection, *(writer.connection for writer in self.writers)):
                connection.terminate()
            self.runner.close()

    def _drain(self) -> None:
        while self._open():
            self.end(-1, "COMMIT")
        left = True
        while left:
            claims = not self.turn.batch
            self.step()
            left = not claims or bool(self.turn.batch)
        assert {key: list(self._first(key)) for key in KEYS} == self.committed
        self.sequences_grow_with_each_key()
        assert self.run(self.turn.connection.fetchval("SELECT count(*) FROM outbox")) == 0


def test_whoever_writes_and_whoever_dies_each_keys_events_come_in_commit_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "BATCH", BATCH)
    monkeypatch.setattr(relay, "_STANDBY_SECONDS", 0.01)
    monkeypatch.setattr(Machine, "url", database_url)
    asyncio.run(migrate(database_url, [CHASSIS]))
    quick = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=quick)
