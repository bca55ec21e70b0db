"""Opening further streams of one person, each at a gateway worker of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cli.demo.cast import Member
from cli.demo.checker import Right
from cli.demo.reader import Reader
from cli.demo.stage import Stage


@asynccontextmanager
async def opened(stage: Stage, member: Member, count: int) -> AsyncIterator[list[Reader]]:
    """Streams of a member beside their own, each avoiding the worker of the one before."""
    readers: list[Reader] = []
    try:
        for number in range(count):
            reader = Reader(f"{member.name} {number + 2}", member.api, stage.notes.take)
            stage.ledger.rights += [
                Right(reader.name, right.scope, right.granted, right.withdrawn)
                for right in stage.ledger.rights
                if right.reader == member.name
            ]
            readers.append(reader)
            reader.open(avoiding=readers[number - 1].worker if number else "")
            await stage.expect(_has_worker(reader), f"{reader.name} is open")
        yield readers
    finally:
        for reader in readers:
            await reader.hang_up()


def _has_worker(reader: Reader) -> Callable[[], bool]:
    return lambda: bool(reader.worker)
