"""Idempotency keys: a write that creates, sent again after a lost answer, gets the answer of the first time.

The key is stored in the write's own transaction, so a concurrent twin waits for it on the unique index and then finds
the stored answer (the behaviour of draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from chassis.database import UNREACHABLE, Connection, Database
from chassis.identity import Caller
from chassis.outbox import OutboxGauge, dump
from chassis.problems import FieldError, Problem

KEPT_HOURS = 24
_LONGEST = 255


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

    async def run(self, request: Request, caller: Caller, work: Work) -> Response:
        """Do `work` in a transaction and answer; with an `Idempotency-Key`, answer a repeat from what was stored."""
        if self._gauge:
            self._gauge.check()
        key = request.headers.get("idempotency-key")
        if key is None:
            async with self._database.transaction() as connection:
                answer = await work(connection)
            return answer.response()
        _check(key)
        digest = await _digest(request)
        async with self._database.transaction() as connection:
            stored = await _claim(connection, caller.subject, key, digest)
            if stored is not None:
                return stored
            answer = await work(connection)
            body = answer.encoded()
            await connection.execute(
                "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5 WHERE caller = $1 AND key = $2",
                caller.subject,
                key,
                answer.status,
                json.dumps(answer.headers),
                body,
            )
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
    head = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(head + await request.body()).digest()


async def _claim(connection: Connection, caller: str, key: str, digest: bytes) -> Response | None:
    claimed = await connection.fetchval(
        "INSERT INTO idempotency_keys (caller, key, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
        caller,
        key,
        digest,
    )
    if claimed:
        return None
    row = await connection.fetchrow(
        "SELECT digest, status, headers, body FROM idempotency_keys WHERE caller = $1 AND key = $2", caller, key
    )
    if row is None or row["status"] is None:
        raise Problem(409, "idempotency-conflict", "The same key is being used right now", headers={"Retry-After": "1"})
    if row["digest"] != digest:
        rule = FieldError("Idempotency-Key", "reused", "This key was used with another request")
        raise Problem(422, "idempotency-key-reused", "The idempotency key was used before", errors=[rule])
    return _response(row["status"], {**json.loads(row["headers"]), "Idempotency-Replayed": "true"}, row["body"])


def _response(status: int, headers: dict[str, str], body: bytes) -> Response:
    return Response(body, status, headers, "application/json" if body else None)
