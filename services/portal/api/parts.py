"""What the portal's routes share: the client, the visitor, where to go next, and whether a form is the portal's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.telemetry import current_traceparent, request_id
from services.portal import views
from services.portal.client import (
    DEVICE_COOKIE,
    IDENTITY_COOKIE,
    SESSION_COOKIE,
    NotSignedIn,
    Providers,
    PublicApi,
    Refused,
    Unavailable,
    Visitor,
)
from services.portal.pages import here, language
from services.portal.words import Words

PLACES = ("/", "/notes", "/notifications")
"""The pages of the portal that a visitor may come back to."""
LONGEST_PLACE = 2000
LONGEST_FIELD = 256
_FORWARDED = ("origin", "sec-fetch-site", "x-forwarded-for", "x-forwarded-proto", "user-agent")
_One = TypeVar("_One")
_Other = TypeVar("_Other")


def safe_next(wanted: str) -> str:
    """A place of the portal to go on to; whatever leads elsewhere becomes the home page."""
    # The rest is the API's, or would loop.
    ours = wanted.partition("?")[0] in PLACES
    return wanted if ours and wanted.isascii() and wanted.isprintable() and len(wanted) <= LONGEST_PLACE else "/"


def public(request: Request) -> PublicApi:
    """The client of the public API."""
    client: PublicApi = request.app.state.public
    return client


def visitor(request: Request, *, anonymous: bool = False) -> Visitor:
    """What of the request goes on to the public API."""
    given = request.headers
    headers = {name: given[name] for name in _FORWARDED if name in given}
    headers["accept"] = "application/json"
    # The public API checks the origin of a write against it.
    if host := _public_host(request):
        headers["host"] = host
    if request_id.get():
        headers["x-request-id"] = str(request_id.get())
    if traceparent := current_traceparent():
        headers["traceparent"] = traceparent
    carried = {name: request.cookies[name] for name in (DEVICE_COOKIE, IDENTITY_COOKIE) if name in request.cookies}
    return Visitor(None if anonymous else request.cookies.get(SESSION_COOKIE), headers, carried)


async def providers(request: Request) -> tuple[list[views.Button], str]:
    """The buttons of providers, and the name of the one that has just named a visitor whom nobody knows yet."""
    found = Providers()
    # Without its buttons the page is still of use.
    with contextlib.suppress(Unavailable, Refused, NotSignedIn):
        found = await public(request).providers(visitor(request, anonymous=True))
    buttons = views.buttons(found, language(request))
    return buttons, next((one.label for one in buttons if one.name == found.pending), "")


def same_origin(request: Request) -> None:
    """Refuse a form sent by another site, which could sign a visitor out, or in as somebody else."""
    origin = request.headers.get("origin")
    if origin is None:
        same = request.headers.get("sec-fetch-site") in ("same-origin", "none")
    else:
        same = _authority(urlsplit(origin).netloc) == _authority(_public_host(request) or "")
    if not same:
        raise HTTPException(403)


def _public_host(request: Request) -> str | None:
    """The name under which the visitor came, whatever proxies stand between."""
    return request.headers.get("x-forwarded-host") or request.headers.get("host")


def _authority(netloc: str) -> str:
    # The default ports, which browsers leave out of Origin and some proxies add to Host.
    return netloc.lower().removesuffix(":443").removesuffix(":80")


def see(place: str) -> RedirectResponse:
    """Go on to a place, with a GET."""
    return RedirectResponse(place, 303, {"Cache-Control": "no-store"})


def sign_in_first(request: Request) -> RedirectResponse:
    """To the form to sign in, and back here afterwards."""
    place = here(request)
    return see("/connexion" if place == "/" else "/connexion?" + urlencode({"suite": place}))


async def both(one: Awaitable[_One], other: Awaitable[_Other]) -> tuple[_One, _Other]:
    """Both answers of two calls made at a time, or the first's error before the second's."""
    # Gathered with their exceptions, so that neither call goes on unheard when the other fails.
    found, beside = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(found, BaseException):
        raise found
    if isinstance(beside, BaseException):
        raise beside
    return found, beside


def patience(words: Words, seconds: int) -> str:
    """How long to wait before trying again, in words."""
    if seconds < 120:
        return words.throttled.format(seconds=seconds)
    return words.throttled_minutes.format(minutes=-(-seconds // 60))


def with_cookies(answer: Response, cookies: list[str]) -> Response:
    """An answer that hands the public API's cookies on."""
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer
