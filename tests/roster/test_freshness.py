"""Whether the directory is heard of now: by this process's own clock, and by what came after it had asked."""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from roster.freshness import Freshness

SILENCE = 60.0
LONGEST = 20.0


class Topic:
    """A topic of beats, a clock, and whoever listens."""

    def __init__(self, said: int = 0) -> None:
        self.now = 1000.0
        self.said = said
        self.asked = 0
        self.reachable = True
        self._read = 0
        self.freshness = Freshness(self._end, SILENCE, lambda: self.now)

    async def _end(self) -> int:
        self.asked += 1
        if not self.reachable:
            raise KafkaConnectionError
        return self.said

    async def read(self, offset: int | None = None) -> bool:
        """Read up to an offset, or all there is, which may be nothing new."""
        end = self.said if offset is None else offset + 1
        new, self._read = end > self._read, max(end, self._read)
        return await self.freshness.read(end - 1 if new else None)


async def test_what_stood_in_the_topic_is_no_news() -> None:
    topic = Topic(said=5)
    assert not await topic.read()
    assert not topic.freshness.fresh
    assert topic.freshness.wrong() == "the directory was last heard of 86400 s ago"
    topic.said = 6
    assert await topic.read()
    assert topic.freshness.fresh


async def test_after_a_silence_the_next_word_counts_and_an_old_one_does_not() -> None:
    topic = Topic()
    await topic.read()
    topic.said = 1
    assert await topic.read()
    topic.now += SILENCE + 1
    assert topic.freshness.wrong() == "the directory was last heard of 61 s ago"
    # A process that stood still: what it reads first was said while it did.
    topic.said = 4
    assert not await topic.read(1)
    assert not await topic.read(3)
    topic.said = 5
    assert await topic.read(4)
    assert topic.asked == 2


async def test_an_end_that_cannot_be_asked_for_is_asked_for_again() -> None:
    topic = Topic()
    topic.reachable = False
    topic.said = 1
    assert not await topic.read()
    topic.reachable = True
    assert not await topic.read()
    topic.said = 2
    assert await topic.read()


async def test_what_somebody_else_heard_counts_for_as_long() -> None:
    topic = Topic(said=5)
    topic.freshness.known(SILENCE - 1)
    assert topic.freshness.fresh
    topic.now += 2
    assert not topic.freshness.fresh


@given(st.lists(st.sampled_from(["beat"]) | st.floats(0, LONGEST), max_size=60))
def test_rights_are_trusted_only_where_the_directory_spoke_in_time(course: list[str | float]) -> None:
    async def follow() -> None:
        topic, spoke = Topic(said=3), float("-inf")
        await topic.read()
        for step in course:
            if isinstance(step, float):
                topic.now += step
            else:
                topic.said, spoke = topic.said + 1, topic.now
            await topic.read()
            assert not topic.freshness.fresh or topic.now - spoke <= SILENCE + LONGEST
            assert step != "beat" or topic.freshness.fresh

    asyncio.run(follow())
