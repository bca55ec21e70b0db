"""Passwords: argon2 in a bounded thread pool, the same time for an account that does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.problems import busy

_Result = TypeVar("_Result")


class Passwords:
    """Hashes and checks passwords. 19 MiB and two passes each (OWASP's first choice for argon2id), so threads are few."""

    def __init__(self, threads: int = 2, waiting: int = 64) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._room = threads + waiting
        self._busy = 0
        self._nobodys = self._hasher.hash("the password of no account")

    async def hash(self, password: str) -> str:
        """The hash to keep; raises a 503 `Problem` when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def check(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; a hash of None takes as long and is False."""
        right = await self._run(lambda: self._verify(kept or self._nobodys, password))
        return right and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._busy >= self._room:
            raise busy("Too many people are signing in at this moment.")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._busy -= 1

    async def close(self) -> None:
        """Give the threads back."""
        self._pool.shutdown(wait=False, cancel_futures=True)
