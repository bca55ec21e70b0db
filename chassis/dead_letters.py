"""Dead letters: what a parked key holds, and how an operator gets it going again.

A replay appends the events of a key, as they first came, to the partition they came from, and lets the key go. Nothing of
the key may be taken in before them, so the consumers of the database wait meanwhile (they read what is parked before every
batch), what has reached the partition and not the consumer is appended too, in its order, and the consumer passes over
all of the key that lies before. The appended ones must stand together; otherwise nothing is let go: the consumer parks
what was appended like all that follows, and the next attempt takes it in its stride. Other consumers know repeats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from chassis import parking
from chassis.database import Connection
from chassis.outbox import decode_headers
from chassis.sending import producer
from contracts.envelope import Header

_PATIENCE = 30.0
_PAUSE = 0.5
_KNOWN_SECONDS = 1.3
"""A forwarder goes by the parked keys it read at most a second ago: once the lock is this old, it has to read again."""
_OWN = "dlq_"
_UNDERWAY = 100
"""Events of a key, on their way to a consumer, for which it is worth having consumers wait."""
_APPENDINGS = 20
"""How often events are appended, while consumers wait, until none of another's stands among them."""
_Place: TypeAlias = tuple[str, int, int]
"""Topic, partition, offset."""


class NotReleased(Exception):
    """The key stays parked; the message says why."""


class _NotYet(Exception):
    """The consumer has not parked all of the key yet."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """One row of the parked keys."""

    consumer: str
    source: str
    key: str
    reason: str
    events: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: the record as it first came, and why it was parked."""

    number: int
    reason: str
    place: _Place
    key: bytes | None
    headers: list[Header]
    value: bytes | None

    @property
    def sequence(self) -> int | None:
        """Its place among the events of its key."""
        return _sequence(self.headers)


async def parked(connection: Connection) -> list[ParkedKey]:
    """The parked keys of a service, longest parked first."""
    rows = await connection.fetch("SELECT * FROM parked_keys ORDER BY parked_at, consumer, source, key")
    return [ParkedKey(r["consumer"], r["source"], r["key"], r["reason"], r["events"], r["parked_at"]) for r in rows]


async def letters_of(connection: Connection, bootstrap: str, service: str, key: ParkedKey) -> list[Letter]:
    """The dead letters of a parked key, in the order they were parked."""
    async with _log(bootstrap, parking.dead_letter_topic(service), 0, 0, _is_letter_of(key)) as log:
        return await _collect(connection, log, service, key)


async def discard(connection: Connection, key: ParkedKey) -> bool:
    """Drop what a key holds and let it go; returns whether it was still parked."""
    async with connection.transaction():
        try:
            await _hold_consumers(connection)
        except _NotYet as why:
            raise NotReleased(f"{why}; the key stays parked. Try again.") from why
        return await parking.drop(connection, key.consumer, key.source, key.key)


async def replay(
    connection: Connection, bootstrap: str, service: str, key: ParkedKey, *, patience: float = _PATIENCE
) -> int:
    """Put a key's dead letters back through its consumer, oldest first, before anything newer; returns how many.

    Raises `NotReleased`, with the key parked as before, when it cannot be done in order and in full.
    """
    deadline = time.monotonic() + patience
    async with AsyncExitStack() as stack:
        dead = await stack.enter_async_context(
            _log(bootstrap, parking.dead_letter_topic(service), 0, 0, _is_letter_of(key))
        )
        sender = producer(bootstrap)
        stack.push_async_callback(sender.stop)
        await sender.start()
        again = _Replay(connection, bootstrap, service, key, stack, dead, sender)
        while True:
            try:
                return await again.attempt()
            except _NotYet as why:
                if time.monotonic() > deadline:
                    raise NotReleased(f"{why}; is its service up? The key stays parked.") from why
            await asyncio.sleep(_PAUSE)


@dataclass
class _Replay:
    """One replay: what it has read so far, so that little is left to read while the consumers wait."""

    _connection: Connection
    _bootstrap: str
    _service: str
    _key: ParkedKey
    _stack: AsyncExitStack
    _dead: _Log
    _sender: AIOKafkaProducer

    def __post_init__(self) -> None:
        self._trails: dict[tuple[str, int], _Log] = {}
        self._appended: set[_Place] = set()

    async def attempt(self) -> int:
        if len(self._underway(await self._letters())) > _UNDERWAY:
            raise _NotYet(f"{self._key.consumer} has not come to all events of the key yet")
        async with self._connection.transaction():
            await _hold_consumers(self._connection)
            letters = await self._letters()
            appended = await self._append(letters)
            await parking.release(self._connection, *self._name, appended)
        return len(letters)

    @property
    def _name(self) -> tuple[str, str, str]:
        return self._key.consumer, self._key.source, self._key.key

    async def _letters(self) -> list[Letter]:
        """The dead letters, all there must be, with what lies behind them in their partitions read too."""
        current = await self._current()
        letters = await _collect(self._connection, self._dead, self._service, current)
        # While nobody waits, more may have been parked since the key was looked at.
        expected = range(1, max(current.events, len(letters)) + 1)
        if [letter.number for letter in letters] != list(expected):
            found = f"{len(letters)} of its {current.events} dead letters are there"
            raise NotReleased(f"{found}: the key stays parked. What is gone can only be discarded, and sent again.")
        await self._follow_trails(letters)
        return letters

    def _underway(self, letters: Sequence[Letter]) -> list[Letter]:
        """The key's events that lie behind its first dead letter and have none themselves."""
        known = self._appended | {letter.place for letter in letters}
        first = min((letter.sequence or 0 for letter in letters), default=0)
        found = [_not_come_to(record) for log in self._trails.values() for record in log.records]
        return [one for one in found if one.place not in known and (one.sequence is None or one.sequence >= first)]

    async def _current(self) -> ParkedKey:
        for row in await parked(self._connection):
            if (row.consumer, row.source, row.key) == (self._key.consumer, self._key.source, self._key.key):
                self._require_same(row)
                return row
        raise NotReleased("the key is not parked any more")

    def _require_same(self, row: ParkedKey) -> None:
        if row.since != self._key.since:
            raise NotReleased("the key was released and parked again meanwhile")

    async def _follow_trails(self, letters: Sequence[Letter]) -> None:
        starts: dict[tuple[str, int], int] = {}
        for topic, partition, offset in (letter.place for letter in letters):
            starts[topic, partition] = min(offset, starts.get((topic, partition), offset))
        for (topic, partition), start in starts.items():
            if (topic, partition) not in self._trails:
                log = _log(self._bootstrap, topic, partition, start, _is_event_of(self._key))
                self._trails[topic, partition] = await self._stack.enter_async_context(log)
            await self._trails[topic, partition].catch_up()

    async def _append(self, letters: Sequence[Letter]) -> dict[parking.Partition, parking.Span]:
        """Append the letters and what is underway; returns where they lie."""
        for _ in range(_APPENDINGS):
            ours = await self._send(_each_once([*letters, *self._underway(letters)]))
            if await self._stand_together(ours):
                return _spans(ours)
        raise _NotYet("events of the key kept coming in between")

    async def _send(self, events: Sequence[Letter]) -> set[_Place]:
        sent = []
        for event in events:
            topic, partition, _ = event.place
            sending = self._sender.send(topic, event.value, event.key, partition=partition, headers=event.headers)
            sent.append(await sending)
        ours = {(one.topic, one.partition, one.offset) for one in await asyncio.gather(*sent)}
        self._appended |= ours
        return ours

    async def _stand_together(self, ours: set[_Place]) -> bool:
        """Whether no event of the key, of which the appended ones know nothing, lies before the last of them."""
        together = True
        last = {(topic, partition): offset for topic, partition, offset in sorted(ours)}
        for (topic, partition), end in last.items():
            log = self._trails[topic, partition]
            known = len(log.records)
            await log.catch_up(end + 1)
            fresh = {(topic, partition, record.offset) for record in log.records[known:] if record.offset <= end}
            together &= fresh <= ours
        return together


def _spans(places: Iterable[_Place]) -> dict[parking.Partition, parking.Span]:
    offsets: dict[parking.Partition, list[int]] = {}
    for topic, partition, offset in places:
        offsets.setdefault((topic, partition), []).append(offset)
    return {at: parking.Span(min(found), max(found) + 1) for at, found in offsets.items()}


def _each_once(letters: Iterable[Letter]) -> list[Letter]:
    """The letters without repeats, in the order of their sequences, those without one in the order they were parked."""
    found: dict[object, Letter] = {}
    for letter in letters:
        found.setdefault(letter.place if letter.sequence is None else letter.sequence, letter)
    kept = list(found.values())
    if all(letter.sequence is not None for letter in kept):
        kept.sort(key=lambda letter: letter.sequence or 0)
    return kept


async def _hold_consumers(connection: Connection) -> None:
    """Have the consumers of this database wait until the transaction ends: none has decided by what it read before."""
    await connection.execute("SET LOCAL lock_timeout = '10s'")
    try:
        await connection.execute("LOCK TABLE parked_keys IN ACCESS EXCLUSIVE MODE")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise _NotYet("the consumers could not be held") from error
    await asyncio.sleep(_KNOWN_SECONDS)


async def _collect(connection: Connection, log: _Log, service: str, key: ParkedKey) -> list[Letter]:
    """All letters of a key by number. The outbox first: what leaves it meanwhile is in the topic by then."""
    rows = await connection.fetch(
        "SELECT headers, value FROM outbox WHERE topic = $1 AND key = $2 ORDER BY id",
        parking.dead_letter_topic(service),
        key.key,
    )
    await log.catch_up()
    found = [(list(record.headers), record.value) for record in log.records]
    found += [(decode_headers(row["headers"]), row["value"]) for row in rows]
    letters = {letter.number: letter for letter in (_letter(*one) for one in found if _belongs(one[0], key))}
    return [letters[number] for number in sorted(letters)]


def _letter(headers: list[Header], value: bytes | None) -> Letter:
    about = dict(headers)
    topic, partition, offset = about["dlq_from"].decode().rsplit("/", 2)
    return Letter(
        number=int(about["dlq_number"]),
        reason=about["dlq_reason"].decode(),
        place=(topic, int(partition), int(offset)),
        key=about.get("dlq_key"),
        headers=[header for header in headers if not header[0].startswith(_OWN)],
        value=value,
    )


def _not_come_to(record: ConsumerRecord) -> Letter:
    place = (record.topic, record.partition, record.offset)
    return Letter(0, "not come to", place, record.key, list(record.headers), record.value)


def _belongs(headers: Sequence[Header], key: ParkedKey) -> bool:
    about = dict(headers)
    wanted = {"dlq_consumer": key.consumer, "dlq_source": key.source, "dlq_since": parking.stamp(key.since)}
    return all(about.get(name) == value.encode() for name, value in wanted.items())


def _sequence(headers: Iterable[Header]) -> int | None:
    value = dict(headers).get("ce_sequence")
    return int(value) if value is not None and value.isdigit() else None


_Wanted = Callable[[ConsumerRecord], bool]


def _is_letter_of(key: ParkedKey) -> _Wanted:
    return lambda record: record.key == key.key.encode() and _belongs(record.headers, key)


def _is_event_of(key: ParkedKey) -> _Wanted:
    name, source = key.key.encode(), ("ce_source", key.source.encode())
    return lambda record: record.key == name and source in record.headers


class _Log:
    """What is wanted of one partition, read once and followed."""

    def __init__(self, reader: AIOKafkaConsumer, place: TopicPartition, wanted: _Wanted) -> None:
        self.records: list[ConsumerRecord] = []
        self._reader = reader
        self._place = place
        self._wanted = wanted

    async def catch_up(self, least: int = 0) -> None:
        """Read all there is now, and at least up to an offset that was acknowledged."""
        end = max(least, (await self._reader.end_offsets([self._place]))[self._place])
        deadline = time.monotonic() + _PATIENCE
        while await self._reader.position(self._place) < end:
            if time.monotonic() > deadline:
                raise NotReleased(f"{self._place.topic} could not be read to its end; the key stays parked")
            for records in (await self._reader.getmany(self._place, timeout_ms=200)).values():
                self.records += filter(self._wanted, records)


@asynccontextmanager
async def _log(bootstrap: str, topic: str, partition: int, start: int, wanted: _Wanted) -> AsyncIterator[_Log]:
    place = TopicPartition(topic, partition)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign([place])
        beginning = (await reader.beginning_offsets([place]))[place]
        reader.seek(place, max(start, beginning))
        yield _Log(reader, place, wanted)
    finally:
        await reader.stop()
