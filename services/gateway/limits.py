"""Every request is counted before it costs anything: by account where one is known, else by address; too many is 429."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from chassis import telemetry
from chassis.problems import Problem
from services.gateway.authentication import Authenticator
from services.gateway.domain import SAFE_METHODS, network
from services.gateway.limiter import Limiter, Rate

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

READS, WRITES, STREAMS, ANONYMOUS = "reads", "writes", "streams", "anonymous"
_refused = telemetry.meter.create_counter(
    "preau_rate_limited", description="Requests refused for their number, by class"
)


class RequestLimits:
    """The limiters of one process, one a class of requests."""

    def __init__(self, rates: Mapping[str, Rate], authenticator: Authenticator) -> None:
        self._limiters = {kind: Limiter(rate) for kind, rate in rates.items()}
        self._authenticator = authenticator

    def check(self, kind: str, headers: Mapping[bytes, bytes], address: str | None) -> None:
        """Count a request of a class; raises a 429 `Problem` that says when the next one passes.

        Who presents what this process does not know yet is nobody so far, and counts by address: a forged token must
        not buy a look into the database for nothing.
        """
        known = self._authenticator.known(headers)
        if known is None:
            kind, client = ANONYMOUS, network(address or "")
        else:
            client = str(known.account.id)
        self._count(kind, client)

    def _count(self, kind: str, client: Hashable) -> None:
        limiter = self._limiters[kind]
        wait = limiter.wait(client)
        if wait:
            _refused.add(1, {"class": kind})
            raise _too_many(kind, limiter.rate, limiter.left(client), math.ceil(wait))


def _too_many(kind: str, rate: Rate, left: int, seconds: int) -> Problem:
    # draft-ietf-httpapi-ratelimit-headers: the quota q in a window of w seconds; r left, and t until there is more.
    window = max(1, math.ceil(rate.burst / rate.per_second))
    headers = {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"{kind}";q={rate.burst};w={window}',
        "RateLimit": f'"{kind}";r={left};t={seconds}',
    }
    return Problem(429, "too-many-requests", "Too many requests", headers=headers)


class Limited:
    """Wraps an app; pure ASGI, so that it costs no task."""

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] == "http":
            kind = READS if scope["method"] in SAFE_METHODS else WRITES
            client = scope.get("client")
            try:
                self._limits.check(kind, dict(scope["headers"]), client[0] if client else None)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Addresses:
    """Whose address a request has where trusted proxies speak for their clients, for what no middleware wraps."""

    def __init__(self, trusted: str) -> None:
        self._proxies = cast("ASGIApp", ProxyHeadersMiddleware(cast("ASGI3Application", _answers_nothing), trusted))

    async def of(self, scope: Scope) -> str | None:
        """The client's address."""
        told = dict(scope)
        await self._proxies(told, _never, _nowhere)
        return told["client"][0] if told.get("client") else None


async def _answers_nothing(_: Scope, __: Receive, ___: Send) -> None: ...


async def _never() -> Message:
    raise AssertionError("nothing is read")


async def _nowhere(_: Message) -> None: ...
