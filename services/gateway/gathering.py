"""Look-ups that ask the database together: one alone asks at once, many at the same moment share a statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

MOST_AT_ONCE = 200
"""Keys of one statement: what is done with its answer keeps all else waiting."""
_STATEMENTS = 2
"""Under way at the same time, so that the database works while this process does."""


class Gathering(Generic[_Key, _Value]):
    """Answers a key by a look-up of many. What is asked is looked up later than it was asked: nobody gets an old answer."""

    def __init__(self, look_up: Callable[[Sequence[_Key]], Awaitable[Mapping[_Key, _Value]]]) -> None:
        """`look_up` answers every key, or raises for all of them."""
        self._look_up = look_up
        # Whoever waits is a request, so what bounds requests bounds these.
        self._waiting: dict[_Key, list[asyncio.Future[_Value]]] = {}
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def of(self, key: _Key) -> _Value:
        """The value of a key; raises what the look-up raises."""
        answer: asyncio.Future[_Value] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._under_way < _STATEMENTS:
            self._under_way += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._statement(list(islice(self._waiting, MOST_AT_ONCE)))
        finally:
            # Not by the task's callback: what is asked between its end and that would wait for nobody.
            self._under_way -= 1

    async def _statement(self, keys: list[_Key]) -> None:
        asked = [(key, self._waiting.pop(key)) for key in keys]
        try:
            found = await self._look_up(keys)
        except Exception as error:
            for _, answers in asked:
                _refuse(answers, error)
        else:
            for key, answers in asked:
                _answer(answers, found[key])


def _answer(answers: list[asyncio.Future[_Value]], value: _Value) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_result(value)


def _refuse(answers: list[asyncio.Future[_Value]], error: Exception) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)
