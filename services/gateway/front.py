"""What the gateway's own routes stand on, and who asks: shared by accounts, sign-in with providers and activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from chassis.database import Database
from chassis.identity import unauthenticated
from chassis.problems import Problem
from services.gateway import attempts, browsers, usecases
from services.gateway.attempts import AttemptLimits
from services.gateway.authentication import Authenticator
from services.gateway.domain import Account, Principal, same_site
from services.gateway.openapi import OpenApi
from services.gateway.openid import store as identities
from services.gateway.openid.identity import Identity
from services.gateway.openid.provider import Provider
from services.gateway.passwords import Passwords
from services.gateway.proxy import check_site, foreign_site
from services.gateway.seals import Seals


@dataclass(frozen=True, slots=True)
class Front:
    """What the routes stand on; the app's `state.front`."""

    database: Database
    authenticator: Authenticator
    passwords: Passwords
    limits: AttemptLimits
    session_seconds: float
    activation_seconds: float
    openapi: OpenApi
    seals: Seals
    providers: Mapping[str, Provider]
    public_url: str


async def _front(request: Request) -> Front:
    front: Front = request.app.state.front
    return front


FrontDep = Annotated[Front, Depends(_front)]


def headers_of(request: Request) -> dict[bytes, bytes]:
    """The headers, of two of one name the last."""
    return dict(request.scope["headers"])


def address_of(request: Request) -> str:
    """The client's address, as trusted proxies tell it."""
    return request.client.host if request.client else "unknown"


async def _signed_in(request: Request, front: FrontDep) -> Principal:
    principal = await front.authenticator.principal(headers_of(request))
    if principal is None:
        raise unauthenticated()
    check_site(principal, request.method, headers_of(request))
    return principal


SignedIn = Annotated[Principal, Depends(_signed_in)]


async def _operator(principal: SignedIn) -> Principal:
    if not principal.account.operator:
        raise Problem(403, "forbidden", "Not allowed")
    return principal


Operator = Annotated[Principal, Depends(_operator)]


def check_own_pages(request: Request) -> None:
    """Refuse a browser's request to sign in that comes from another site."""
    headers = headers_of(request)
    if (b"origin" in headers or b"sec-fetch-site" in headers) and not same_site(headers):
        raise foreign_site()


async def count(front: Front, who: attempts.Counted) -> None:
    """Count an attempt; raises a 429 `Problem` when it comes too early."""
    async with front.database.transaction() as connection:
        wait = await attempts.count(connection, who, front.limits)
    attempts.check(wait)


async def begin_session(
    front: Front,
    request: Request,
    response: Response,
    account: Account,
    *,
    counted: attempts.Counted | None = None,
    identity: Identity | None = None,
) -> usecases.Issued:
    """Open a session for who has proved to be this account, and put it into the browser; the one it came with ends."""
    own = {b"cookie": headers_of(request).get(b"cookie", b"")}
    before = await front.authenticator.principal(own)
    async with front.database.transaction() as connection:
        replaced = before.credential if before else None
        issued = await usecases.open_session(connection, account, replaced, front.session_seconds)
        if counted is not None:
            await attempts.succeeded(connection, counted)
        if identity is not None:
            await identities.vouch(connection, issued.id, identity)
    if before:
        front.authenticator.forget(before.credential)
    browsers.give_session(response, issued.secret, int(front.session_seconds))
    browsers.remember_device(request, response, front.seals, account.id)
    return issued
