"""A small client of the public API: problems are errors, and a write whose answer was lost is found again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp

RETRIED = frozenset((502, 503, 504))
"""Answers that say nothing of whether the work was done."""
_IN_USE = "idempotency-conflict"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_ANSWER_SECONDS = 20.0


class ApiProblem(Exception):
    """A request was refused; `code` is the problem document's."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = document
        self.code = str(document.get("code", ""))
        super().__init__(f"{status} {self.code}: {document.get('detail') or document.get('title')}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]
    attempts: int


class Api:
    """The public API as one account sees it.

    `patience` is for how many seconds a request that may be sent again is: reads, and writes, each under one
    `Idempotency-Key` however often they are sent.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, token: str | None, patience: float = 10.0
    ) -> None:
        self.session = session
        self.base_url = base_url.rstrip("/")
        self.patience = patience
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def get(self, path: str, **params: str) -> Any:
        """The body of a read."""
        return (await self.call("GET", path, params=params)).body

    async def post(self, path: str, body: Any = None) -> Any:
        """Do a write; returns its body."""
        return (await self.call("POST", path, body)).body

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send until it is answered or patience ends; raises `ApiProblem`, or what the last attempt met."""
        deadline, pause, attempts = time.monotonic() + self.patience, _FIRST_PAUSE, 0
        sent = {"Idempotency-Key": str(uuid4()), **self.headers, **(headers or {})}
        if method == "GET":
            del sent["Idempotency-Key"]
        while True:
            attempts += 1
            try:
                return await self._once(method, path, body, params, sent, attempts)
            except ApiProblem as problem:
                if problem.status not in RETRIED and problem.code != _IN_USE:
                    raise
                if time.monotonic() > deadline:
                    raise
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        attempts: int,
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with self.session.request(
            method, self.base_url + path, json=body, params=params, headers=headers, timeout=timeout
        ) as response:
            text = await response.text()
            found = await response.json(content_type=None) if text else None
            if response.status >= 400:
                raise ApiProblem(response.status, found if isinstance(found, dict) else {"title": text[:200]})
            return Answer(response.status, found, response.headers.copy(), attempts)


def session() -> aiohttp.ClientSession:
    """A session for many open streams."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
