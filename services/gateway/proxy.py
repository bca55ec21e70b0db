"""The way through: a request goes to the service that owns its path, its answer comes back as it arrives."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from chassis.identity import unauthenticated
from chassis.problems import Problem, busy, not_found
from services.gateway.authentication import Authenticator
from services.gateway.domain import (
    COOKIE,
    DEVICE_COOKIE,
    IDENTITY_COOKIE,
    SAFE_METHODS,
    Kind,
    Principal,
    cookies,
    same_site,
)
from services.gateway.inward import Connection, Headers, InwardError
from services.gateway.routing import PORTAL, api_services, service_of
from services.gateway.upstream import Upstream

_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_OURS = frozenset(
    (
        *("host", "content-length", "expect", "authorization", "cookie", "forwarded"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"),
        *("traceparent", "tracestate"),
    )
)
_NOT_INWARD = _HOP_BY_HOP | _OURS
_PAGES = (COOKIE, DEVICE_COOKIE, IDENTITY_COOKIE, "__Host-preau_lang")
"""The cookies that pages get: the session, what goes back to us with a sign-in, and the language the visitor chose."""
_NOT_BACK = frozenset((*(name.encode() for name in _HOP_BY_HOP), b"x-request-id", b"server", b"date"))
_log = logging.getLogger(__name__)


def foreign_site() -> Problem:
    """The answer to a write that rests on a cookie and does not come from our own pages."""
    return Problem(403, "foreign-site", "This request comes from another site")


def refused_token(service: str) -> Problem:
    """The answer where a service does not take the gateway's own token: clocks or keys are wrong, and no visitor's fault."""
    _log.error("internal token refused", extra={"service": service})
    problem = busy("The service does not take this gateway's word.", 5)
    # Who keeps the connection would come back to this process, where another may do better.
    problem.headers["Connection"] = "close"
    return problem


class ToServices(BaseRoute):
    """The route of every path that a service answers, first of all: the gateway's own need not be tried before."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._services = api_services()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a service answers."""
        mine = scope["type"] == "http" and service_of(scope["path"], scope["query_string"]) in self._services
        return (Match.FULL if mine else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the service answer."""
        await self._proxy(scope, receive, send)


class Proxy:
    """An ASGI app that answers every path which the gateway does not answer itself."""

    def __init__(self, upstream: Upstream, authenticator: Authenticator) -> None:
        self._upstream = upstream
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route, authorise, pass on; refusals are raised as `Problem`s before anything was sent."""
        if scope["type"] != "http":
            return
        service = service_of(scope["path"], scope["query_string"])
        headers: dict[bytes, bytes] = dict(scope["headers"])
        credentials = self._to_portal(scope, headers)
        if service != PORTAL:
            principal = await self._authenticator.principal(headers)
            if principal is None:
                raise unauthenticated()
            check_site(principal, scope["method"], headers)
            if service is None:
                raise not_found()
            credentials = [self._upstream.authorization(principal.account.subject, service)]
        target = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        if not target.startswith("/"):
            raise not_found()
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        outward = [*passed_on(scope["headers"]), *_forwarded(scope, headers), *credentials]
        body = await _read(receive)
        async with self._upstream.request(service, scope["method"], target, outward, body) as response:
            if service != PORTAL and response.status == 401:
                raise refused_token(service)
            await _send_back(response, send, head=scope["method"] == "HEAD")

    def _to_portal(self, scope: Scope, headers: dict[bytes, bytes]) -> Headers:
        # Pages get the visitor's session and language and nothing else of the cookies; a write must come from our pages.
        own = {name: value for name, value in cookies(headers).items() if name in _PAGES and value}
        by_cookie = COOKIE in own and b"authorization" not in headers
        if by_cookie and scope["method"] not in SAFE_METHODS and not same_site(headers):
            raise foreign_site()
        return [("Cookie", "; ".join(f"{name}={value}" for name, value in own.items()))] if own else []


def check_site(principal: Principal, method: str, headers: dict[bytes, bytes]) -> None:
    """Refuse a write that rests on a cookie and comes from another site."""
    if principal.kind is Kind.SESSION and method not in SAFE_METHODS and not same_site(headers):
        raise foreign_site()


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request that go inward: not those of the connection, nor those the gateway speaks for."""
    found = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    named = {one.strip().lower() for name, value in found if name == "connection" for one in value.split(",")}
    return [(name, value) for name, value in found if name not in _NOT_INWARD and name not in named]


def _forwarded(scope: Scope, headers: dict[bytes, bytes]) -> Headers:
    client = scope.get("client")
    return [
        ("X-Forwarded-For", client[0] if client else "unknown"),
        ("X-Forwarded-Host", headers.get(b"host", b"").decode("latin-1")),
        ("X-Forwarded-Proto", scope.get("scheme", "http")),
    ]


async def _read(receive: Receive) -> bytes | None:
    """The whole body, which the app around this bounds in size and time."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "broken-off", "The request broke off")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts) or None


async def _send_back(answer: Connection, send: Send, *, head: bool) -> None:
    named = {one.strip() for n, v in answer.headers if n.lower() == b"connection" for one in v.lower().split(b",")}
    lowered = [(name.lower(), value) for name, value in answer.headers]
    headers = [(name, value) for name, value in lowered if name not in _NOT_BACK and name not in named]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    part, more = b"", not head
    while more:
        try:
            part, more = await answer.part()
        except InwardError as error:
            # The status is out already; an answer cut short is the only way left to say so.
            raise ConnectionError("the service broke off") from error
        if more:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head else part, "more_body": False})
