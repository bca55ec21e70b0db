"""Consuming: batches from Kafka, each effect once, a poison event parked with its key while all others go on.

FastStream's defaults lose (acknowledge first, start at the latest), so `subscribe` sets what every consumer needs and an
`Inbox` does the rest: repeats, retries, parking, its place in the topic kept with the effect.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage, KafkaMessage

from chassis import parking, repeats, telemetry
from chassis.database import UNREACHABLE, Connection, Database
from chassis.health import Health
from chassis.places import Places, WentBack, begun, reached
from contracts.envelope import BadEnvelope, Envelope, from_headers

Record: TypeAlias = ConsumerRecord
ATTEMPTS = 5
"""How often an event that fails by its own fault is tried before its key is parked."""
_STALLED_SECONDS = 60
_ANOTHER_DATABASE = (
    WentBack,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)
"""The database is not, or no longer, the one this process began with, which is no event's fault: its successor makes the
tables, or is of their version, and reads up."""
_EVENT_BYTES = 2048
"""What an event takes on its topic, rather more than less."""
_GATHERED_BYTES = 256 * 1024
_GATHERED_MS = 40
_COMMIT_SECONDS = 0.1
"""Between two commits of offsets: small batches that follow one another share one."""
_log = logging.getLogger(__name__)
_consumed = telemetry.meter.create_counter("preau_consumed_events", description="Events whose effect was committed")
_repeated = telemetry.meter.create_counter("preau_repeated_events", description="Events dropped as repeats")


class Received(NamedTuple):
    """One event as consumed; `value` is None for a tombstone."""

    envelope: Envelope
    value: bytes | None
    record: Record


Handler = Callable[[Connection, Sequence[Received]], Awaitable[None]]
"""The effect of a batch, in the given transaction; an exception other than of the infrastructure means poison."""
OnStop = Callable[[Connection, str], Awaitable[None]]
"""Has everybody know, in a transaction of its own, by what a consumer was stopped."""
OnlyNew = Callable[[Connection, str, Sequence[Received]], Awaitable[list[Received]]]
"""Which events a consumer has not taken in yet, in order; what it remembers of them goes into the transaction."""


class PatientConsumer(AIOKafkaConsumer):
    """A consumer whose `getmany` returns when there is something, and which knows when it last polled.

    `places` says where each group begins whose database knows it; other groups go by the offsets they committed.
    """

    def __init__(
        self, *topics: str, instance: str = "", places: Mapping[str, Places] | None = None, **options: Any
    ) -> None:
        super().__init__(*topics, **(options | {"group_instance_id": instance or None}))
        self.polled = time.monotonic()
        self._places = (places or {}).get(str(options.get("group_id")))
        self._placed: object = None

    @property
    def stopped(self) -> bool:
        """Whether it is stopped: a commit would be tried for ever then."""
        return bool(self._closed)

    async def getmany(self, *partitions: Any, timeout_ms: int = 1000, max_records: int | None = None) -> Any:
        """Wait for records. FastStream sleeps after an empty poll, which would delay what arrives meanwhile."""
        while True:
            self.polled = time.monotonic()
            await self._begin_where_known()
            found = await super().getmany(*partitions, timeout_ms=max(timeout_ms, 1000), max_records=max_records)
            # What came of partitions that were dealt out meanwhile begins where the group committed.
            if found and self._is_placed():
                return found

    def _is_placed(self) -> bool:
        return self._places is None or self._placed is self._dealt()

    def _dealt(self) -> object:
        # The object itself: after a rebalance the same partitions may have been another process's in between.
        subscription = self._subscription.subscription
        return None if subscription is None else subscription.assignment

    async def _begin_where_known(self) -> None:
        """Go to where the database says, once for each dealing out of partitions."""
        if self._places is None or self._is_placed():
            return
        dealt = self._dealt()
        try:
            for partition, offset in (await self._places.begin(self.assignment())).items():
                if self._dealt() is dealt:
                    self.seek(partition, offset)
        except UNREACHABLE as error:
            _log.warning("places not read, trying again", extra={"cause": type(error).__name__})
            await asyncio.sleep(0.2)
            return
        self._placed = dealt


class Broker(KafkaBroker):
    """A FastStream broker whose consumers may begin where their databases say; `places` are theirs by group."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places: dict[str, Places] = {}


def broker(bootstrap: str) -> Broker:
    """A FastStream broker that consumes only: what services send goes through the outbox."""
    return Broker(
        bootstrap.split(","),
        consumer_only=True,
        allow_auto_create_topics=False,
        apply_types=False,
        graceful_timeout=5,
        logger=logging.getLogger("preau.faststream"),
        log_level=logging.DEBUG,
        metadata_max_age_ms=30_000,
    )


async def start(source: Broker, instance: str = "") -> None:
    """Start a broker's subscribers with patient consumers, under the process's name where it has one."""
    await source.connect()
    config = source.config.broker_config
    builder = config.builder
    assert isinstance(builder, partial)
    config.builder = partial(PatientConsumer, instance=instance, places=source.places, **builder.keywords)
    await source.start()


Subscriber: TypeAlias = Callable[[KafkaMessage], Awaitable[None]]


def subscribe(
    source: Broker,
    *topics: str,
    group: str,
    places: Places | None = None,
    max_records: int = 500,
    gathered: bool = False,
    dealer: type[RoundRobinPartitionAssignor] = RoundRobinPartitionAssignor,
) -> Callable[[Subscriber], Subscriber]:
    """The decorator of a thin subscriber: whole batches, from the earliest, acknowledged by the inbox alone.

    With `places` the database of the effect says where it begins; without, the offsets that the group committed. Where
    nobody waits for the effect, records may be `gathered` by Kafka for some 40 ms: fewer and larger batches,
    and what is waited for goes first. A `dealer` deals partitions out; all processes of a group have the same.
    """
    if places is not None:
        source.places[group] = places
    decorator: Callable[[Subscriber], Subscriber] = source.subscriber(
        *topics,
        group_id=group,
        batch=True,
        max_records=max_records,
        # A partition's part of a batch comes in one piece.
        max_partition_fetch_bytes=max(2**20, max_records * _EVENT_BYTES),
        fetch_min_bytes=_GATHERED_BYTES if gathered else 1,
        fetch_max_wait_ms=_GATHERED_MS if gathered else 500,
        auto_offset_reset="earliest",
        # One alone: aiokafka joins a group anew for each, and processes that do so keep throwing one another out.
        partition_assignment_strategy=(dealer,),
        ack_policy=AckPolicy.MANUAL,
        parser=_as_is,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        max_poll_interval_ms=120_000,
    )
    return decorator


async def _as_is(records: tuple[Record, ...], original: Callable[..., Awaitable[Any]]) -> KafkaMessage:
    # FastStream's own parser decodes every header of every record, and fails for ever on one that is not UTF-8.
    return _Message(raw_message=records, body=b"", consumer=original.__self__._consumer)  # type: ignore[attr-defined]


class _Message(KafkaAckableMessage):
    """A batch as a subscriber gets it."""

    async def decode(self) -> KafkaMessage:
        """The message itself; kept in its own cache, as FastStream does, only a search for cycles would free its records."""
        return self


class Consumption:
    """What is known of one consumer in this process: when it polled, how far it came, what it parked."""

    def __init__(self, consumer: str) -> None:
        self.consumer = consumer
        self.parked = 0
        self.stopped_by: str | None = None
        self._stream: PatientConsumer | None = None
        self._done: dict[TopicPartition, int] = {}
        self._to_commit: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None
        telemetry.gauge("preau_consumer_lag", "Records not yet consumed", self.lag, consumer=consumer)
        telemetry.gauge("preau_parked_keys", "Keys in the dead-letter topic", lambda: self.parked, consumer=consumer)

    def began(self, message: KafkaMessage) -> tuple[Record, ...]:
        """A batch came in; returns its records."""
        assert isinstance(message.raw_message, tuple)
        self._stream = message.consumer  # type: ignore[assignment]
        self._forget_lost()
        return message.raw_message

    def follows(self, records: Sequence[Record]) -> bool:
        """Whether this process did what came before these records; where not, another process did."""
        return all(self._done.get(place) == offset for place, offset in begun(records).items())

    @property
    def reached(self) -> Mapping[TopicPartition, int]:
        """The offset behind the last record done of each partition."""
        return self._done

    def _forget_lost(self) -> None:
        """Forget how far partitions are that went to another process: it may bring them further, and it commits them.

        One that is committed all the same has all the others refused, on whose partitions nothing more may come.
        """
        if self._stream is not None:
            held = self._stream.assignment()
            self._done = {place: offset for place, offset in self._done.items() if place in held}
            self._to_commit = {place: offset for place, offset in self._to_commit.items() if place in held}

    def done(self, records: Sequence[Record]) -> None:
        """A batch has had its effect: its offsets are committed soon, beside the work of those that follow."""
        offsets = reached(records)
        self._done |= offsets
        self._to_commit |= offsets
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name=f"commit {self.consumer}")

    async def _commit(self) -> None:
        """Commit what is done until nothing is left. A failure is no loss: what comes again is known as a repeat.

        What is refused in the midst of a rebalance comes again after it; trying it again would ask for the next one.
        """
        while self._to_commit:
            await asyncio.sleep(_COMMIT_SECONDS)
            if self._stream is None or self._stream.stopped:
                break
            self._forget_lost()
            offsets, self._to_commit = self._to_commit, {}
            if not offsets:
                continue
            try:
                await self._stream.commit(offsets)
            except (IllegalStateError, KafkaError) as error:
                _log.info("offsets not committed", extra={"cause": type(error).__name__})
        self._committing = None

    def alive(self) -> None:
        """The consumer is waiting for something outside, and not stuck."""
        if self._stream:
            self._stream.polled = time.monotonic()

    async def retry(self, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat while the infrastructure fails: that is no fault of the events, so nothing is parked for it."""
        pause = 0.05
        while True:
            try:
                await work()
                return
            except UNREACHABLE as error:
                about = {"consumer": self.consumer, "cause": type(error).__name__}
                _log.warning("infrastructure unavailable, trying again", extra=about)
                self.alive()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2)

    def lag(self) -> float:
        """Records of this process's partitions whose effect is not committed yet."""
        if self._stream is None:
            return 0
        self._forget_lost()
        ends = {partition: self._stream.highwater(partition) for partition in self._stream.assignment()}
        return sum(max(0, (end or 0) - self._done.get(partition, end or 0)) for partition, end in ends.items())

    def ended(self) -> None:
        """The consumer was stopped for good: it is neither behind nor stalled."""
        self._stream = None
        self.parked = 0

    def watch(self, health: Health) -> None:
        """Report a consumer that no longer polls as not live, one that an event stopped as not ready."""

        def stalled() -> str | None:
            if self._stream is None or time.monotonic() - self._stream.polled < _STALLED_SECONDS:
                return None
            return f"{self.consumer} has not polled for {_STALLED_SECONDS} s"

        health.live(f"consumer {self.consumer}", stalled)
        health.ready(f"consumer {self.consumer}", lambda: self.stopped_by)


class Inbox:
    """What stands between a subscriber and its effect; one for each (service, consumer).

    With `parks=False` an event that cannot be taken in stops the consumer, and readiness tells: for what rights rest
    on, wrong is worse than late; `on_stop` is called each time it fails, and what ends the stop is the effect itself.
    `only_new` knows repeats where the effect itself remembers how far it came.
    """

    def __init__(
        self,
        database: Database,
        *,
        service: str,
        consumer: str,
        parks: bool = True,
        only_new: OnlyNew = repeats.only_new,
        on_stop: OnStop | None = None,
    ) -> None:
        self.consumption = Consumption(consumer)
        self.places = Places(database, consumer)
        """Where it begins: for a subscriber whose effect is in the database alone."""
        self._database = database
        self._service = service
        self._consumer = consumer
        self._parks = parks
        self._only_new = only_new
        self._on_stop = on_stop

    async def receive(self, message: KafkaMessage, handle: Handler) -> None:
        """Take a batch in: its effect and the memory of it in one transaction, then its offsets."""
        records = self.consumption.began(message)
        try:
            await self._effect(decode(records), handle)
        except Exception:
            # FastStream would go on with the next batch, whose offsets would cover this one.
            _log.exception("consumer cannot go on", extra={"consumer": self._consumer})
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        self.consumption.done(records)

    async def _effect(self, batch: Batch, handle: Handler) -> None:
        for dead in batch.undecodable:
            await self._park(dead, "envelope")
        whole = await self._in_parts(batch.events, handle)
        if batch.undecodable or not whole:
            # What was parked does not say that all before it was taken in: only now all of the batch is.
            await self.consumption.retry(lambda: self._transaction(self._come_to, [*batch.events, *batch.undecodable]))

    async def _in_parts(self, events: Sequence[Received], handle: Handler) -> bool:
        """Take events in, by ever smaller halves where one of them fails: the others are not to wait. Whether none did."""
        try:
            await self._until_reachable(events, handle)
        except _ANOTHER_DATABASE:
            raise
        except Exception as error:
            if len(events) == 1:
                await self._alone(events[0], handle)
                return False
            _log.warning("batch failed, taking it by halves", extra=self._about(error))
        else:
            return True
        half = len(events) // 2
        await self._in_parts(events[:half], handle)
        await self._in_parts(events[half:], handle)
        return False

    async def _alone(self, event: Received, handle: Handler) -> None:
        attempt = 0
        while True:
            try:
                await self._until_reachable([event], handle)
                self.consumption.stopped_by = None
                return
            except _ANOTHER_DATABASE:
                raise
            except Exception as error:
                reason = type(error).__name__
                about = self._about(error) | {"event": event.envelope.id, "attempt": attempt}
                _log.warning("event failed", extra=about)
            attempt += 1
            if attempt >= ATTEMPTS and self._parks:
                break
            if not self._parks:
                await self._stop(event, reason)
            await asyncio.sleep(min(5, 0.05 * 2**attempt))
        await self._park(event, reason)

    async def _stop(self, event: Received, reason: str) -> None:
        """Tell of the first failure alone already: until the event is taken in, what rests on it is not to be trusted."""
        why = f"stopped by event {event.envelope.id}: {reason}"
        self.consumption.stopped_by = why
        self.consumption.alive()
        if (on_stop := self._on_stop) is not None:
            await self.consumption.retry(lambda: self._transaction(lambda connection, _: on_stop(connection, why), []))

    async def _park(self, event: Received, reason: str) -> None:
        while not self._parks:
            await self._stop(event, reason)
            await asyncio.sleep(1)

        async def park(connection: Connection, _: Sequence[Received]) -> None:
            await parking.park(connection, self._service, self._consumer, event, reason)

        _log.error("key parked", extra={"consumer": self._consumer, "event": event.envelope.id, "reason": reason})
        await self.consumption.retry(lambda: self._transaction(park, []))

    async def _until_reachable(self, events: Sequence[Received], handle: Handler) -> None:
        if events:
            await self.consumption.retry(lambda: self._once(events, handle))

    async def _once(self, events: Sequence[Received], handle: Handler) -> None:
        async with self._database.transaction() as connection:
            standing = await parking.standing(connection, self._consumer)
            self.consumption.parked = len(standing.parked)
            free, follow = standing.parted(standing.passed(events))
            fresh = await self._only_new(connection, self._consumer, free)
            if fresh:
                await handle(connection, fresh)
            for event in follow:
                await parking.park(connection, self._service, self._consumer, event, "follows a parked event")
            if standing.passed_over:
                await standing.forget(connection, reached([event.record for event in events]))
            await self._come_to(connection, events)
        self.places.committed([event.record for event in events])
        labels = {"consumer": self._consumer}
        _consumed.add(len(fresh), labels)
        if len(free) > len(fresh):
            _repeated.add(len(free) - len(fresh), labels)

    async def _come_to(self, connection: Connection, events: Sequence[Received]) -> None:
        await self.places.advance(connection, [event.record for event in events])

    async def _transaction(self, handle: Handler, events: Sequence[Received]) -> None:
        async with self._database.transaction() as connection:
            await handle(connection, events)

    def _about(self, error: BaseException) -> dict[str, str]:
        return {"consumer": self._consumer, "cause": type(error).__name__}


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as events, those that are none of ours apart."""

    events: list[Received]
    undecodable: list[Received]


def decode(records: Iterable[Record]) -> Batch:
    """Read the envelopes of a batch."""
    batch = Batch([], [])
    for record in records:
        try:
            batch.events.append(Received(from_headers(record.headers, record.key), record.value, record))
        except BadEnvelope:
            batch.undecodable.append(Received(_stand_in(record), record.value, record))
    return batch


def _stand_in(record: Record) -> Envelope:
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return Envelope(
        id=place, type="unreadable", source=f"/{record.topic}", subject=place, key=place, time=datetime.now(UTC)
    )


async def keep_running(source: Broker, health: Health, instance: str = "") -> None:
    """Start a broker's subscribers, however long Kafka takes to be there, and stop them when cancelled.

    Writes are answered meanwhile: a service needs Kafka to hear and to be heard, not to decide.
    """
    up = False
    health.ready("consumers", lambda: None if up else "Kafka has not been reached yet")
    try:
        while not up:
            try:
                await start(source, instance)
                up = True
            except (KafkaError, OSError) as error:
                _log.warning("Kafka not reached, trying again", extra={"cause": type(error).__name__})
                await source.stop()
                await asyncio.sleep(0.5)
        await asyncio.Event().wait()
    finally:
        await source.stop()


@asynccontextmanager
async def running(source: Broker) -> AsyncIterator[None]:
    """A broker that runs within the block."""
    await start(source)
    try:
        yield
    finally:
        await source.stop()
