"""The portal's pages: parse, ask the public API with the visitor's session, answer."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from chassis.telemetry import current_traceparent, request_id
from contracts.feed import Category
from services.portal import views
from services.portal.client import (
    SESSION_COOKIE,
    FeedPage,
    FeedQuery,
    Me,
    NotSignedIn,
    PublicApi,
    Refused,
    Throttled,
    Unavailable,
    Visitor,
    WrongCredentials,
    signed_out_cookie,
)
from services.portal.pages import ASSETS, LANGUAGE_COOKIE, here, language, page
from services.portal.words import LANGUAGES, Words

router = APIRouter(include_in_schema=False)
_FORWARDED = ("origin", "sec-fetch-site", "x-forwarded-for", "x-forwarded-proto", "user-agent")
_LONGEST_FIELD = 256
_LONGEST_PLACE = 2000
_YEAR = 365 * 24 * 3600


@router.get("/")
async def home(request: Request) -> Response:
    """The visitor's news, filtered by plain links."""
    query, asked = _query(request)
    if query is None:
        return _see("/")
    try:
        me, feed = await _me_and_feed(_public(request), _visitor(request), query)
    except NotSignedIn:
        return _see("/connexion?" + urlencode({"suite": here(request)}) if asked else "/connexion")
    except Refused:
        # A filter or place that is no longer the visitor's: a right ended, or the link came from elsewhere.
        if asked:
            return _see("/")
        raise Unavailable from None
    view = views.home(me, feed, query, language(request), datetime.now(UTC))
    return page(request, "home.html", view=view, person=me.person)


@router.get("/connexion")
async def sign_in_form(request: Request) -> Response:
    """The form to sign in."""
    told = language(request).signed_out if "parti" in request.query_params else ""
    suite = request.query_params.get("suite", "/")
    return page(request, "sign_in.html", suite=safe_next(suite), login="", error="", told=told)


@router.post("/connexion")
async def sign_in(request: Request) -> Response:
    """Sign in through the public API and hand its cookie on."""
    _same_origin(request)
    form = await request.form(max_files=0, max_fields=8)
    login, password, suite = (str(form.get(name, "")) for name in ("login", "password", "suite"))
    words = language(request)

    def again(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
        shown = {"suite": safe_next(suite), "login": login[:_LONGEST_FIELD], "error": error, "told": ""}
        return page(request, "sign_in.html", status, headers=headers, **shown)

    login = login.strip()
    if not login or not password:
        return again(422, words.missing_credentials)
    if len(login) > _LONGEST_FIELD or len(password) > _LONGEST_FIELD:
        return again(422, words.wrong_credentials)
    try:
        cookies = await _public(request).sign_in(_visitor(request, anonymous=True), login, password)
    except WrongCredentials:
        return again(422, words.wrong_credentials)
    except Throttled as throttled:
        return again(429, _patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    except Unavailable:
        return again(503, words.sign_in_unavailable, {"Retry-After": "5"})
    return _with_cookies(_see(safe_next(suite)), cookies)


@router.post("/deconnexion")
async def sign_out(request: Request) -> Response:
    """Sign out on the platform, and forget the session here whatever the platform answers."""
    _same_origin(request)
    with contextlib.suppress(Unavailable):
        await _public(request).sign_out(_visitor(request))
    return _with_cookies(_see("/connexion?parti"), [signed_out_cookie()])


@router.get("/langue/{lang}")
async def choose_language(request: Request, lang: str) -> Response:
    """Keep the language the visitor chose."""
    if lang not in LANGUAGES:
        raise HTTPException(404)
    answer = _see(safe_next(request.query_params.get("suite", "/")))
    answer.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR, secure=True, httponly=True, samesite="lax")
    return answer


@router.get("/static/{version}/{name}")
async def static(version: str, name: str) -> Response:
    """A static file; its address changes with its content."""
    answer = ASSETS.answer(name)
    lasting = "public, max-age=31536000, immutable" if version == ASSETS.version else "no-cache"
    answer.headers["Cache-Control"] = lasting
    return answer


def safe_next(wanted: str) -> str:
    """A place of the portal to go on to; whatever leads elsewhere becomes the home page."""
    # The home page, with its filters, is all there is to come back to; the rest is the API's, or would loop.
    home = wanted.partition("?")[0] == "/"
    return wanted if home and wanted.isascii() and wanted.isprintable() and len(wanted) <= _LONGEST_PLACE else "/"


async def _me_and_feed(public: PublicApi, visitor: Visitor, query: FeedQuery) -> tuple[Me, FeedPage]:
    if visitor.session is None:
        raise NotSignedIn
    # Gathered with their exceptions, so that neither call goes on unheard when the other fails.
    me, feed = await asyncio.gather(public.me(visitor), public.feed(visitor, query), return_exceptions=True)
    if isinstance(me, BaseException):
        raise me
    if isinstance(feed, BaseException):
        raise feed
    return me, feed


def _query(request: Request) -> tuple[FeedQuery | None, bool]:
    """What the address asks for (None when it makes no sense), and whether it asks for anything."""
    asked = request.query_params
    try:
        child = UUID(asked["enfant"]) if "enfant" in asked else None
        category = Category(asked["rubrique"]).value if "rubrique" in asked else None
    except ValueError:
        return None, True
    before = asked.get("avant")
    if before is not None and not 0 < len(before) <= _LONGEST_PLACE:
        return None, True
    return FeedQuery(child, category, before), bool(child or category or before)


def _public(request: Request) -> PublicApi:
    public: PublicApi = request.app.state.public
    return public


def _visitor(request: Request, *, anonymous: bool = False) -> Visitor:
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
    return Visitor(None if anonymous else request.cookies.get(SESSION_COOKIE), headers)


def _same_origin(request: Request) -> None:
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


def _patience(words: Words, seconds: int) -> str:
    if seconds < 120:
        return words.throttled.format(seconds=seconds)
    return words.throttled_minutes.format(minutes=-(-seconds // 60))


def _see(place: str) -> RedirectResponse:
    return RedirectResponse(place, 303, {"Cache-Control": "no-store"})


def _with_cookies(answer: Response, cookies: list[str]) -> Response:
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer
