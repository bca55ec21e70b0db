"""Repeats, parking and replay against a model: whatever happens, each event has its effect once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chassis import consumer, parking
from chassis.consumer import Inbox, Received
from chassis.database import Connection
from chassis.outbox import decode_headers
from chassis.parking import Span
from contracts.envelope import Envelope, to_headers
from tests.conftest import open_database

KEYS = ("a", "b", "c")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Record:
    """As much of a Kafka record as an inbox looks at."""

    offset: int
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes = b"{}"
    topic: str = "t"
    partition: int = 0


def sequence_of(headers: list[tuple[str, bytes]]) -> int:
    """The sequence of an event, which all here have."""
    return int(dict(headers)["ce_sequence"])


class _Stream:
    """The consumer that records came by, as the inbox sees it: it commits, and has its partition."""

    polled = 0.0
    stopped = False

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Take note of nothing: what comes again is the machine's to say."""

    def assignment(self) -> set[TopicPartition]:
        """The one partition there is."""
        return {TopicPartition("t", 0)}


class Machine(RuleBasedStateMachine):
    """A topic of one partition, an inbox over a real database, and what must have come of it."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.run(open_database(self.url, pool_size=2))
        self.run(self._empty())
        self.log: list[Record] = []
        self.written: dict[str, list[int]] = {key: [] for key in KEYS}
        self.effects: dict[str, list[int]] = {key: [] for key in KEYS}
        self.dropped: set[int] = set()
        self.poisonous: set[str] = set()
        self.place = 0
        self.sequence = 0
        self._pending: list[tuple[str, int]] = []
        self._begin()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    async def _empty(self) -> None:
        async with self.database.transaction() as connection:
            await connection.execute("TRUNCATE repeat_guard, parked_keys, passed_over, dropped, places, outbox")

    def _begin(self) -> None:
        self.inbox = Inbox(self.database, service="test", consumer="test")
        begun = self.run(self.inbox.places.begin([TopicPartition("t", 0)]))
        assert begun[TopicPartition("t", 0)] <= self.place
        self.place = begun[TopicPartition("t", 0)]

    async def _effect(self, connection: Connection, events: Sequence[Received]) -> None:
        self._pending = []
        for event in events:
            if event.envelope.key in self.poisonous:
                raise ValueError("poison")
            assert event.envelope.sequence is not None
            self._pending.append((event.envelope.key, event.envelope.sequence))
        for key, sequence in self._pending:
            self.effects[key].append(sequence)

    async def _parked(self) -> dict[str, int]:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT key, events FROM parked_keys")
        return {row["key"]: row["events"] for row in rows}

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
    def write(self, keys: list[str]) -> None:
        for key in keys:
            self.sequence += 1
            envelope = Envelope(
                id=f"{self.sequence}", type="t", source="/s", subject=key, key=key, time=datetime.now(UTC),
                sequence=self.sequence,
            )  # fmt: skip
            self.written[key].append(self.sequence)
            self._append(key.encode(), to_headers(envelope))

    def _append(self, key: bytes, headers: list[tuple[str, bytes]]) -> None:
        self.log.append(Record(len(self.log), key, headers))

    @precondition(lambda self: self.log)
    @rule(back=st.integers(0, 8), count=st.integers(1, 8))
    def deliver(self, back: int, count: int) -> None:
        """A batch from where the consumer is, or from before it: after a rebalance, offsets not committed."""
        start = max(0, self.place - back)
        self._deliver(self.log[start : start + count])

    def _deliver(self, records: Sequence[Record]) -> None:
        if records:
            message: Any = SimpleNamespace(raw_message=tuple(records), consumer=_Stream())
            self.run(self.inbox.receive(message, self._effect))
            self.place = max(self.place, records[-1].offset + 1)

    @rule(key=st.sampled_from(KEYS))
    def spoil(self, key: str) -> None:
        self.poisonous.add(key)

    @rule()
    def mend(self) -> None:
        self.poisonous.clear()

    @rule()
    def restart(self) -> None:
        """Another process goes on, where the database says."""
        self._begin()

    @rule()
    def replay(self) -> None:
        """An operator has what was parked first put back behind all that is there, and what is underway to it too."""
        self.run(self._replay())

    @rule()
    def discard(self) -> None:
        """An operator drops what was parked first."""
        self.run(self._discard())

    async def _replay(self) -> None:
        async with self.database.transaction() as connection:
            key, parked = await self._first_parked(connection)
            if not parked:
                return
            there = {sequence_of(one.headers): one.headers for one in self.log if one.key == key.encode()}
            again = [there[sequence] for sequence in sorted(there) if sequence >= min(parked)]
            begin = len(self.log)
            await parking.release(connection, "test", "/s", key, {("t", 0): Span(begin, begin + len(again))})
        for headers in again:
            self._append(key.encode(), headers)

    async def _discard(self) -> None:
        async with self.database.transaction() as connection:
            key, parked = await self._first_parked(connection)
            assert await parking.drop(connection, "test", "/s", key) == bool(parked)
        self.dropped |= parked

    async def _first_parked(self, connection: Connection) -> tuple[str, set[int]]:
        """The longest parked key, and the sequences of its dead letters, which are taken out."""
        row = await connection.fetchrow("SELECT key FROM parked_keys ORDER BY parked_at, key LIMIT 1")
        if row is None:
            return "", set()
        letters = await connection.fetch("DELETE FROM outbox WHERE key = $1 RETURNING headers", row["key"])
        return row["key"], {sequence_of(decode_headers(one["headers"])) for one in letters}

    @invariant()
    def each_effect_is_there_once_and_in_order(self) -> None:
        for key, effects in self.effects.items():
            assert effects == sorted(set(effects)), key
            assert effects == [one for one in self.written[key] if one in set(effects)], key

    @invariant()
    def nothing_goes_past_a_parked_key(self) -> None:
        parked = self.run(self._parked())
        for key, effects in self.effects.items():
            if key not in parked and effects:
                missing = {one for one in self.written[key] if one < effects[-1]} - set(effects) - self.dropped
                assert not missing, key

    def teardown(self) -> None:
        """Once all is mended, delivered and put back, every event that nobody dropped has had its effect."""
        self.poisonous.clear()
        while self.place < len(self.log) or self.run(self._parked()):
            self._deliver(self.log[self.place :])
            self.run(self._replay())
        for key in KEYS:
            assert self.effects[key] == [one for one in self.written[key] if one not in self.dropped], key
        self.run(self.database.close())
        self.runner.close()


def test_whatever_happens_each_event_has_its_effect_once_and_in_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "ATTEMPTS", 1)
    monkeypatch.setattr(Machine, "url", database_url)
    quick = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=quick)
