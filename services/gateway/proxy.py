"""The way through: a request goes to the service that owns its path, its answer comes back as it arrives."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aiohttp import ClientError, ClientResponse
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
from services.gateway.routing import PORTAL, service_of
from services.gateway.upstream import Headers, Upstream

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
_PAGES = (COOKIE, DEVICE_COOKIE, IDENTITY_COOKIE, "__Host-preau_lang")
"""The cookies that pages get: the session, what goes back to us with a sign-in, and the language the visitor chose."""
_log = logging.getLogger(__name__)
_NOT_BACK = frozenset(("x-request-id", "server", "date"))


def foreign_site() -> Problem:
    """The answer to a write that rests on a cookie and does not come from our own pages."""
    return Problem(403, "foreign-site", "This request comes from another site")


def refused_token(service: str) -> Problem:
    """The answer where a service does not take the gateway's own token: clocks or keys are wrong, and no visitor's fault."""
    _log.error("internal token refused", extra={"service": service})
    return busy("The service does not take this gateway's word.", 5)


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
    return _without([(n.decode("latin-1"), v.decode("latin-1")) for n, v in headers], _HOP_BY_HOP | _OURS)


def _without(headers: Headers, dropped: frozenset[str]) -> Headers:
    named = {name.strip().lower() for key, value in headers if key.lower() == "connection" for name in value.split(",")}
    return [(n, v) for n, v in headers if n.lower() not in dropped and n.lower() not in named]


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


async def _send_back(response: ClientResponse, send: Send, *, head: bool) -> None:
    answered = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in response.raw_headers]
    kept = _without(answered, _HOP_BY_HOP | _NOT_BACK)
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in kept]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if not head:
        try:
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (ClientError, TimeoutError) as error:
            # The status is out already; an answer cut short is the only way left to say so.
            raise ConnectionError("the service broke off") from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})
