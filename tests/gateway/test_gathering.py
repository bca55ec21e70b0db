"""Look-ups gathered: one statement for many, never an answer older than its question, a failure told to all it hit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.gateway.gathering import MOST_AT_ONCE, Gathering


class Table:
    """A look-up that answers when it is let, and remembers what it was asked."""

    def __init__(self, *, let: bool = True) -> None:
        self.asked: list[list[int]] = []
        self.version = 0
        self.fails = False
        self.let = asyncio.Event()
        if let:
            self.let.set()

    async def look_up(self, keys: Sequence[int]) -> dict[int, tuple[int, int]]:
        self.asked.append(list(keys))
        version, fails = self.version, self.fails
        await self.let.wait()
        if fails:
            raise OSError("away")
        return {key: (key, version) for key in keys}

    async def under_way(self, statements: int) -> None:
        while len(self.asked) < statements:  # noqa: ASYNC110 - tasks begin within a few turns of the loop
            await asyncio.sleep(0)


async def test_what_is_asked_at_the_same_moment_is_one_statement() -> None:
    table = Table()
    gathering = Gathering(table.look_up)
    found = await asyncio.gather(*(gathering.of(key % 50) for key in range(100)))
    assert [key for key, _ in found] == [key % 50 for key in range(100)]
    assert table.asked == [list(range(50))]


async def test_a_statement_is_bounded() -> None:
    table = Table()
    gathering = Gathering(table.look_up)
    count = MOST_AT_ONCE * 3 + 1
    found = await asyncio.gather(*(gathering.of(key) for key in range(count)))
    assert [key for key, _ in found] == list(range(count))
    assert max(map(len, table.asked)) == MOST_AT_ONCE
    assert sum(map(len, table.asked)) == count


async def test_nobody_gets_an_answer_that_is_older_than_the_question() -> None:
    table = Table(let=False)
    gathering = Gathering(table.look_up)
    early = [asyncio.create_task(gathering.of(7))]
    await table.under_way(1)
    early.append(asyncio.create_task(gathering.of(7)))
    await table.under_way(2)
    table.version = 1
    late = asyncio.create_task(gathering.of(7))
    await asyncio.sleep(0)
    assert len(table.asked) == 2
    table.let.set()
    assert [await one for one in early] == [(7, 0), (7, 0)]
    assert await late == (7, 1)


async def test_a_failure_reaches_all_of_its_statement_and_nobody_after_it() -> None:
    table = Table()
    gathering = Gathering(table.look_up)
    table.fails = True
    refused = await asyncio.gather(*(gathering.of(key) for key in range(5)), return_exceptions=True)
    assert [type(error) for error in refused] == [OSError] * 5
    table.fails = False
    assert await gathering.of(3) == (3, 0)


async def test_who_leaves_does_not_take_the_answer_from_others() -> None:
    table = Table(let=False)
    gathering = Gathering(table.look_up)
    gone, stays = asyncio.create_task(gathering.of(1)), asyncio.create_task(gathering.of(1))
    await table.under_way(1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    table.let.set()
    assert await stays == (1, 0)
    assert await gathering.of(2) == (2, 0)
