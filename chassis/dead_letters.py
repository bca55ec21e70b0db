"""Dead letters: what a parked key holds, and how an operator gets it going again.

A replay appends the events of a key, as they first came, to the partition they came from, and lets the key go. It has to
be sure that nothing of the key lies between what the consumer has parked and what is appended, so the consumers of the
database wait meanwhile (they read the parked keys before every batch): every event of the key that the partition holds
must have its dead letter and a committed offset (what is delivered again after the release would overtake), and the
appended ones must stand together. Otherwise nothing is let go: the consumer parks what
was appended like all that follows, and the next attempt takes it in its stride. Other consumers know repeats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

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
_Trails = dict[tuple[str, int], list[ConsumerRecord]]
"""A key's records by topic and partition."""


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
    place: tuple[str, int, int]
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
        return await parking.release(connection, key.consumer, key.source, key.key)


async def replay(
    connection: Connection, bootstrap: str, service: str, key: ParkedKey, *, group: str, patience: float = _PATIENCE
) -> int:
    """Put a key's dead letters back through its consumer, oldest first, before anything newer; returns how many.

    `group` is the consumer's in Kafka. Raises `NotReleased`, with the key parked as before, when it cannot be done in
    order and in full.
    """
    deadline = time.monotonic() + patience
    async with AsyncExitStack() as stack:
        dead = await stack.enter_async_context(
            _log(bootstrap, parking.dead_letter_topic(service), 0, 0, _is_letter_of(key))
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        stack.push_async_callback(admin.close)
        await admin.start()
        sender = producer(bootstrap)
        stack.push_async_callback(sender.stop)
        await sender.start()
        again = _Replay(connection, bootstrap, service, key, group, stack, dead, admin, sender)
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
    _group: str
    _stack: AsyncExitStack
    _dead: _Log
    _admin: AIOKafkaAdminClient
    _sender: AIOKafkaProducer

    def __post_init__(self) -> None:
        self._trails: dict[tuple[str, int], _Log] = {}

    async def attempt(self) -> int:
        await self._letters_in_full(_UNDERWAY)
        async with self._connection.transaction():
            await _hold_consumers(self._connection)
            letters = await self._letters_in_full(0)
            await self._append(letters)
            await parking.release(self._connection, self._key.consumer, self._key.source, self._key.key)
        return len(letters)

    async def _letters_in_full(self, underway: int) -> list[Letter]:
        """What is to be replayed, each event once; `_NotYet` while the partition holds more of the key than that.

        So many of the newest events may be underway: as long as nobody waits, some always are.
        """
        current = await self._current()
        letters = await _collect(self._connection, self._dead, self._service, current)
        if [letter.number for letter in letters] != list(range(1, current.events + 1)):
            found = f"{len(letters)} of its {current.events} dead letters are there"
            raise NotReleased(f"{found}: the key stays parked. What is gone can only be discarded, and sent again.")
        await self._follow_trails(letters)
        trails = {at: log.records[: max(0, len(log.records) - underway)] for at, log in self._trails.items()}
        self._require_parked(letters, trails)
        await self._require_committed(trails)
        return _each_once(letters)

    def _require_parked(self, letters: Sequence[Letter], trails: _Trails) -> None:
        places = {letter.place for letter in letters}
        first = min((letter.sequence or 0 for letter in letters), default=0)
        for (topic, partition), records in trails.items():
            for record in records:
                sequence = _sequence(record.headers)
                passed_before = sequence is not None and sequence < first
                if not passed_before and (topic, partition, record.offset) not in places:
                    raise _NotYet(f"{self._key.consumer} has not come to all events of the key yet")

    async def _require_committed(self, trails: _Trails) -> None:
        last = {TopicPartition(*at): records[-1].offset for at, records in trails.items() if records}
        if not last:
            return
        committed = await self._admin.list_consumer_group_offsets(self._group, partitions=list(last))
        for place, offset in last.items():
            if place not in committed or committed[place].offset <= offset:
                raise _NotYet(f"{self._key.consumer} has not committed how far it came in {place.topic} yet")

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

    async def _append(self, letters: Sequence[Letter]) -> None:
        sent = []
        for letter in letters:
            topic, partition, _ = letter.place
            sending = self._sender.send(topic, letter.value, letter.key, partition=partition, headers=letter.headers)
            sent.append(await sending)
        appended = await asyncio.gather(*sent)
        ours = {(one.topic, one.partition, one.offset) for one in appended}
        last: dict[tuple[str, int], int] = {}
        for topic, partition, offset in ours:
            last[topic, partition] = max(offset, last.get((topic, partition), offset))
        for (topic, partition), end in last.items():
            log = self._trails[topic, partition]
            known = len(log.records)
            await log.catch_up(end + 1)
            fresh = {(topic, partition, record.offset) for record in log.records[known:] if record.offset <= end}
            if fresh - ours:
                raise _NotYet("another event of the key came in between")


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
