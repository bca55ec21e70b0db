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
    DEVICE_COOKIE,
    IDENTITY_COOKIE,
    SESSION_COOKIE,
    FeedPage,
    FeedQuery,
    Me,
    NotSignedIn,
    Providers,
    PublicApi,
    Refused,
    Taken,
    Throttled,
    Unavailable,
    Visitor,
    WrongCode,
    WrongCredentials,
    signed_out_cookie,
)
from services.portal.pages import ASSETS, LANGUAGE_COOKIE, here, language, page
from services.portal.words import LANGUAGES, Words

router = APIRouter(include_in_schema=False)
_FORWARDED = ("origin", "sec-fetch-site", "x-forwarded-for", "x-forwarded-proto", "user-agent")
_LONGEST_FIELD = 256
_LONGEST_PLACE = 2000
_LONGEST_CODE = 64
_SHORTEST_PASSWORD = 8
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
    """The form to sign in, with a button for each provider, and what became of a sign-in with one."""
    words, asked = language(request), request.query_params
    told = words.signed_out if "parti" in asked else ""
    error = words.provider_failed.get(asked.get("erreur", ""), "")
    buttons, _ = await _providers(request)
    suite = safe_next(asked.get("suite", "/"))
    return page(request, "sign_in.html", buttons=buttons, suite=suite, login="", error=error, told=told)


@router.post("/connexion")
async def sign_in(request: Request) -> Response:
    """Sign in through the public API and hand its cookies on."""
    _same_origin(request)
    form = await request.form(max_files=0, max_fields=8)
    login, password, suite = (str(form.get(name, "")) for name in ("login", "password", "suite"))
    words = language(request)

    async def again(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
        shown = {"suite": safe_next(suite), "login": login[:_LONGEST_FIELD], "error": error, "told": ""}
        buttons, _ = ([], "") if status == 503 else await _providers(request)
        return page(request, "sign_in.html", status, headers=headers, buttons=buttons, **shown)

    login = login.strip()
    if not login or not password:
        return await again(422, words.missing_credentials)
    if len(login) > _LONGEST_FIELD or len(password) > _LONGEST_FIELD:
        return await again(422, words.wrong_credentials)
    try:
        cookies = await _public(request).sign_in(_visitor(request, anonymous=True), login, password)
    except WrongCredentials:
        return await again(422, words.wrong_credentials)
    except Throttled as throttled:
        return await again(429, _patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    except Unavailable:
        return await again(503, words.sign_in_unavailable, {"Retry-After": "5"})
    return _with_cookies(_see(safe_next(suite)), cookies)


async def _providers(request: Request) -> tuple[list[views.Button], str]:
    """The buttons of providers, and the name of the one that has just named a visitor whom nobody knows yet."""
    found = Providers()
    # Without its buttons the page is still of use.
    with contextlib.suppress(Unavailable, Refused, NotSignedIn):
        found = await _public(request).providers(_visitor(request, anonymous=True))
    buttons = views.buttons(found, language(request))
    return buttons, next((one.label for one in buttons if one.name == found.pending), "")


@router.get("/activation")
async def activation_form(request: Request) -> Response:
    """The form for an activation code: with a login to choose, or for who a provider has just named."""
    buttons, pending = await _providers(request)
    return page(request, "activation.html", buttons=buttons, pending=pending, code="", login="", error="")


@router.post("/activation")
async def activate(request: Request) -> Response:
    """Use an activation code through the public API and hand its cookies on."""
    _same_origin(request)
    form = await request.form(max_files=0, max_fields=8)
    code, login = (str(form.get(name, ""))[:_LONGEST_FIELD].strip() for name in ("code", "login"))
    password = str(form.get("password", ""))
    words = language(request)

    async def again(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
        buttons, pending = await _providers(request)
        shown = {"code": code, "login": login, "error": error, "pending": pending, "buttons": buttons}
        return page(request, "activation.html", status, headers=headers, **shown)

    own = None if "pending" in form else {"login": login, "password": password}
    if not code:
        return await again(422, words.missing_code)
    if own and (not login or not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_FIELD):
        return await again(422, words.short_password)
    try:
        cookies = await _public(request).activate(_visitor(request, anonymous=True), code[:_LONGEST_CODE], own)
    except WrongCode:
        return await again(422, words.wrong_code)
    except Taken as taken:
        return await again(409, words.taken.get(taken.code, words.wrong_code))
    except Throttled as throttled:
        return await again(429, _patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    return _with_cookies(_see("/"), cookies)


@router.post("/deconnexion")
async def sign_out(request: Request) -> Response:
    """Sign out on the platform, at the provider too, and forget the session here whatever the platform answers."""
    _same_origin(request)
    place = None
    with contextlib.suppress(Unavailable):
        place = await _public(request).sign_out(_visitor(request))
    # A form may lead to our own pages alone, says the policy: a page of ours leads on to the provider.
    answer = (
        page(request, "signed_out.html", headers={"Refresh": f"0; url={place}"}, place=place)
        if place
        else _see("/connexion?parti")
    )
    return _with_cookies(answer, [signed_out_cookie()])


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
    carried = {name: request.cookies[name] for name in (DEVICE_COOKIE, IDENTITY_COOKIE) if name in request.cookies}
    return Visitor(None if anonymous else request.cookies.get(SESSION_COOKIE), headers, carried)


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
