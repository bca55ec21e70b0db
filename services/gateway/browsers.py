"""What the gateway keeps in a browser: the session, the device it has signed in from, a sign-in under way."""

from __future__ import annotations

import secrets
from uuid import UUID

from fastapi import Request, Response

from services.gateway.domain import COOKIE, DEVICE_COOKIE, FLOW_COOKIE, IDENTITY_COOKIE
from services.gateway.openid import flow
from services.gateway.openid.identity import Identity
from services.gateway.seals import DEVICE, IDENTITY, Seals

_DEVICE_SECONDS = 390 * 86_400
_IDENTITY_SECONDS = 900


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def give_session(response: Response, secret: str, seconds: int) -> None:
    """Have the browser keep a session."""
    _set(response, COOKIE, secret, seconds)


def take_session(response: Response) -> None:
    """Have the browser forget its session."""
    _set(response, COOKIE, "", 0)


def device_of(request: Request, seals: Seals, account: UUID | None) -> str | None:
    """The device that has signed in to this account before; None for any other."""
    values = seals.open(DEVICE, request.cookies.get(DEVICE_COOKIE, ""), _DEVICE_SECONDS)
    return values["device"] if values and account and values["account"] == str(account) else None


def remember_device(request: Request, response: Response, seals: Seals, account: UUID) -> None:
    """Have the browser prove, a year from now still, that this account was signed in to from it."""
    device = device_of(request, seals, account) or secrets.token_urlsafe(16)
    _set(response, DEVICE_COOKIE, seals.seal(DEVICE, {"account": str(account), "device": device}), _DEVICE_SECONDS)


def begin(response: Response, seals: Seals, begun: flow.Flow) -> None:
    """Have the browser keep a sign-in at a provider."""
    _set(response, FLOW_COOKIE, begun.sealed(seals), flow.SECONDS)


def begun(request: Request) -> str:
    """The sign-in at a provider that this browser began, sealed."""
    return request.cookies.get(FLOW_COOKIE, "")


def ended(response: Response) -> None:
    """Have the browser forget its sign-in at a provider."""
    _set(response, FLOW_COOKIE, "", 0)


def give_identity(response: Response, seals: Seals, identity: Identity) -> None:
    """Have the browser keep who a provider says its visitor is, until an activation code says who that is here."""
    _set(response, IDENTITY_COOKIE, seals.seal(IDENTITY, identity.kept()), _IDENTITY_SECONDS)


def identity_of(request: Request, seals: Seals) -> Identity | None:
    """Who a provider said a moment ago that the visitor is."""
    values = seals.open(IDENTITY, request.cookies.get(IDENTITY_COOKIE, ""), _IDENTITY_SECONDS)
    return None if values is None else Identity.from_kept(values)


def take_identity(response: Response) -> None:
    """Have the browser forget that."""
    _set(response, IDENTITY_COOKIE, "", 0)
