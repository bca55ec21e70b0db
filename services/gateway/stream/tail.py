"""Tailing a topic of one partition with plain aiokafka: no group, every process reads all of it, from a way back."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.consumer import Record

_log = logging.getLogger(__name__)


class Tail:
    """One topic's only partition, read from some way back and then for ever."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self._partition = TopicPartition(topic, 0)
        self._bootstrap = bootstrap.split(",")
        self._consumer: AIOKafkaConsumer | None = None
        self.beginning = 0
        self.end = 0
        self.start = 0
        self.next = 0
        self.located = False

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def begin(self, back: int) -> None:
        """Start `back` records before the end, or at the beginning; waits for as long as the topic can't be reached."""
        while not self.located:
            try:
                await self._locate()
            except (KafkaError, OSError) as error:
                _log.warning("topic not reached", extra={"topic": self.topic, "cause": type(error).__name__})
                await self.close()
                await asyncio.sleep(1)
        self.start = self.next = max(self.beginning, self.end - back)
        assert self._consumer is not None
        self._consumer.seek(self._partition, self.start)

    async def _locate(self) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=1024 * 1024,
            request_timeout_ms=15_000,
        )
        await self._consumer.start()
        self._consumer.assign([self._partition])
        self.beginning = (await self._consumer.beginning_offsets([self._partition]))[self._partition]
        self.end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        self.located = True

    async def ask_end(self) -> int:
        """Where the next record will stand; raises what Kafka raises."""
        if self._consumer is None:
            raise ConnectionError("the tail is closed")
        return int((await self._consumer.end_offsets([self._partition]))[self._partition])

    def is_last(self, record: Record) -> bool:
        """Whether nothing is known to follow a record."""
        if self._consumer is None:
            return False
        return bool(record.offset + 1 >= (self._consumer.highwater(self._partition) or 0))

    @property
    def caught_up(self) -> bool:
        """Whether all that stood in the topic at `begin` was read."""
        return self.located and self.next >= self.end

    async def batches(self, most: int = 100) -> AsyncIterator[Sequence[Record]]:
        """Batches for ever, empty ones too, at least once a second."""
        while self._consumer is not None:
            found = await self._consumer.getmany(self._partition, timeout_ms=1000, max_records=most)
            records: Sequence[Record] = found.get(self._partition, ())
            yield records
            # What is there already is handed out without waiting: whoever is being answered meanwhile has a turn as well.
            await asyncio.sleep(0)

    async def taken(self) -> None:
        """Say that what was yielded has been taken in. Compaction leaves holes: only the consumer knows how far it is."""
        if self._consumer is not None:
            self.next = await self._consumer.position(self._partition)


class RepeatGuard:
    """The last sequence of recent keys: what is not newer is a repeat. Bounded; the key longest unseen goes first."""

    def __init__(self, most: int) -> None:
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._most = most

    def is_new(self, source: str, key: str, sequence: int | None) -> bool:
        """Whether a record is new; remembers it. A record without a sequence always is."""
        if sequence is None:
            return True
        name = (source, key)
        known = self._last.get(name, -1)
        self._last[name] = max(sequence, known)
        self._last.move_to_end(name)
        if len(self._last) > self._most:
            self._last.popitem(last=False)
        return sequence > known
