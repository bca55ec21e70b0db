"""Calls inward: kept connections, a bound on what is in flight to each service, tokens that say on whose behalf."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from opentelemetry import trace

from chassis.identity import LIFETIME, TokenSigner
from chassis.problems import Problem, busy
from chassis.telemetry import request_id
from services.gateway.inward import BrokenOff, Connection, Headers, InwardError, Place, Unreachable

_KEPT_SECONDS = LIFETIME - 15
_KNOWN = 50_000
_WAIT_SECONDS = 1.0


class InwardTokens:
    """Internal tokens by (subject, service), signed anew well before they end."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self._known: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()

    def token(self, subject: str, service: str) -> str:
        """A token good for at least a quarter of a minute."""
        name = (subject, service)
        known = self._known.get(name)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        signed = self._signer.sign(subject, service)
        self._known[name] = (time.monotonic() + _KEPT_SECONDS, signed)
        self._known.move_to_end(name)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return signed


class _Gate:
    """A bound on requests in flight to one service; as many again may wait for a moment."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)
        self._most = most
        self._waiting = 0

    async def enter(self) -> None:
        """Wait for room, which is to be left; raises a 503 `Problem` where too many wait or for too long."""
        if not self._room.locked():
            # Passed without a wait, and so without the task that a wait with a deadline takes.
            await self._room.acquire()
            return
        if self._waiting >= self._most:
            raise busy("Too many requests wait for this service.")
        self._waiting += 1
        try:
            # Not `wait_for`: in Python 3.11 it swallows a cancellation that comes with room.
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise busy("This service has more requests than it can answer.") from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Make room for the next."""
        self._room.release()


class Upstream:
    """The services, and how they are called."""

    def __init__(self, services: Mapping[str, str], tokens: InwardTokens, most: int, seconds: float) -> None:
        self._places = {name: Place(base) for name, base in services.items()}
        self._tokens = tokens
        self._seconds = seconds
        self._gates = {name: _Gate(most) for name in services}

    async def close(self) -> None:
        """Close the connections that are kept."""
        for place in self._places.values():
            place.close()

    def authorization(self, subject: str, service: str) -> tuple[str, str]:
        """The header that says on whose behalf a service is called."""
        return "Authorization", f"Bearer {self._tokens.token(subject, service)}"

    @asynccontextmanager
    async def request(
        self, service: str, method: str, target: str, headers: Headers, body: bytes | None = None
    ) -> AsyncIterator[Connection]:
        """Send a request and have its answer, whose body is not read yet.

        `target` is path and query as they go on the wire. Raises 502, 503 and 504 `Problem`s.
        """
        place = self._places.get(service)
        if place is None:
            raise busy("This service is not there.", 5)
        gate = self._gates[service]
        await gate.enter()
        try:
            answer = await self._answer(place, method, target, [*headers, *_context()], body)
            try:
                yield answer
            finally:
                place.give_back(answer)
        finally:
            gate.leave()

    async def _answer(self, place: Place, method: str, target: str, headers: Headers, body: bytes | None) -> Connection:
        try:
            async with asyncio.timeout(self._seconds):
                return await place.ask(method, target, headers, body)
        except Unreachable as error:
            raise busy("The service cannot be reached.") from error
        except BrokenOff as error:
            # It may have done the work: whether to send it again is for the client to say, with its Idempotency-Key.
            raise Problem(502, "broken-off", "The service broke off") from error
        except TimeoutError as error:
            raise Problem(504, "too-slow", "The service took too long", headers={"Retry-After": "1"}) from error
        except InwardError as error:
            raise Problem(502, "bad-answer", "The service answered what cannot be read") from error


def _context() -> Headers:
    """Request id and trace go with the call; an unsampled trace says so, or the service would decide anew."""
    found: list[tuple[str, str]] = []
    request = request_id.get()
    if request:
        found.append(("X-Request-Id", request))
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        flags = int(context.trace_flags)
        found.append(("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"))
    return found
