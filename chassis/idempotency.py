"""Idempotency keys: a write that creates, sent again after a lost answer, gets the answer of the first time.

The answer is stored with the commit of the write's own transaction, and the key is locked when that begins, so a
concurrent twin waits and then finds the stored answer (the behaviour of draft-ietf-httpapi-idempotency-key-header).
A key is not looked for beforehand: most are new, so a repeat is told by the key that is taken or by work that fails, and
what it did is rolled back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from fastapi import Request, Response
from pydantic import BaseModel

from chassis.database import UNREACHABLE, Connection, Database, literal, lock_number
from chassis.identity import Caller
from chassis.outbox import CHANNEL, OutboxGauge, dump
from chassis.problems import FieldError, Problem

KEPT_HOURS = 24
_LONGEST = 255
_KEY = "idempotency_keys_pkey"
_STORED = "SELECT digest, status, headers, body FROM idempotency_keys WHERE caller = $1 AND key = $2"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answers: status, body (a model or JSON-ready value), headers."""

    status: int
    body: BaseModel | dict[str, Any] | list[Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body as UTF-8 JSON; empty where there is none."""
        if self.body is None:
            return b""
        return dump(self.body) if isinstance(self.body, BaseModel) else json.dumps(self.body).encode()

    def response(self) -> Response:
        """The answer as a response."""
        return _response(self.status, self.headers, self.encoded())


Work = Callable[[Connection], Awaitable[Answer]]


class Writes:
    """Runs writes: one transaction each, refused while the outbox is full, at most once per idempotency key."""

    def __init__(self, database: Database, gauge: OutboxGauge | None = None) -> None:
        self._database = database
        self._gauge = gauge
        # Who watches an outbox has one, and a relay that is to be woken.
        self._announce = CHANNEL if gauge else ""

    async def run(self, request: Request, caller: Caller, work: Work, *, locks: str = "") -> Response:
        """Do `work` in a transaction and answer; with an `Idempotency-Key`, answer a repeat from what was stored.

        `locks` are statements without arguments with which the transaction begins.
        """
        if self._gauge:
            self._gauge.check()
        key = request.headers.get("idempotency-key")
        if key is None:
            async with self._database.transaction(locks, announce=self._announce) as connection:
                answer = await work(connection)
            return answer.response()
        _check(key)
        once = _Once(caller.subject, key, await _digest(request))
        try:
            return await self._first_time(once, work, locks)
        except UNREACHABLE:
            raise
        except Exception as error:
            async with self._database.connection() as connection:
                stored = await once.stored(connection)
            if stored is not None:
                return stored
            if isinstance(error, _Taken):
                raise _in_use() from error
            raise

    async def _first_time(self, once: _Once, work: Work, locks: str) -> Response:
        answer, body = Answer(500), b""
        try:
            async with self._database.transaction(
                f"{once.lock}; {locks}", lambda: once.keeping(answer, body), self._announce
            ) as connection:
                answer = await work(connection)
                body = answer.encoded()
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == _KEY:
                raise _Taken from error
            raise
        return _response(answer.status, answer.headers, body)

    async def sweep(self, every: float = 600) -> None:
        """Forget keys older than a day, for ever, in bounded bites."""
        while True:
            with contextlib.suppress(*UNREACHABLE):
                async with self._database.connection() as connection:
                    await connection.execute(
                        "DELETE FROM idempotency_keys WHERE (caller, key) IN (SELECT caller, key FROM idempotency_keys"
                        " WHERE created_at < now() - make_interval(hours => $1) LIMIT 5000)",
                        KEPT_HOURS,
                    )
            await asyncio.sleep(every)


def _check(key: str) -> None:
    if not key or len(key) > _LONGEST or not key.isascii() or not key.isprintable():
        rule = FieldError("Idempotency-Key", "length", f"1 to {_LONGEST} printable ASCII characters")
        raise Problem(400, "bad-idempotency-key", "The idempotency key breaks a rule", errors=[rule])


async def _digest(request: Request) -> bytes:
    query = request.scope["query_string"].decode("latin-1")
    head = f"{request.method} {request.scope['path']}?{query}\n".encode()
    return hashlib.sha256(head + await request.body()).digest()


class _Taken(Exception):
    """The key was used before."""


def _in_use() -> Problem:
    return Problem(409, "idempotency-conflict", "The same key is being used right now", headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class _Once:
    """A key under which a caller's write is done once; `digest` tells the request it was used with."""

    caller: str
    key: str
    digest: bytes

    @property
    def lock(self) -> str:
        """The statement that makes twins wait for one another."""
        name = f"{self.caller}\0{self.key}".encode()
        return f"SELECT pg_advisory_xact_lock({lock_number(b'idempotency', name)})"

    def keeping(self, answer: Answer, body: bytes) -> str:
        """The statement that keeps an answer."""
        caller, key, headers = (literal(text) for text in (self.caller, self.key, json.dumps(answer.headers)))
        digest, kept = literal(self.digest), literal(body)
        return (
            "INSERT INTO idempotency_keys (caller, key, digest, status, headers, body)"  # noqa: S608 - literals
            f" VALUES ({caller}, {key}, {digest}, {answer.status:d}, {headers}::jsonb, {kept})"
        )

    async def stored(self, connection: Connection) -> Response | None:
        """The answer of the first time, None where there was none; raises a 422 `Problem` for another request's key."""
        row = await connection.fetchrow(_STORED, self.caller, self.key)
        if row is None:
            return None
        if row["digest"] != self.digest:
            rule = FieldError("Idempotency-Key", "reused", "This key was used with another request")
            raise Problem(422, "idempotency-key-reused", "The idempotency key was used before", errors=[rule])
        return _response(row["status"], {**json.loads(row["headers"]), "Idempotency-Replayed": "true"}, row["body"])


def _response(status: int, headers: dict[str, str], body: bytes) -> Response:
    return Response(body, status, headers, "application/json" if body else None)
