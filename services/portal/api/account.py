"""Signing in and out, and the choice of a language."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from services.portal.api.parts import public, safe_next, same_origin, see, visitor
from services.portal.client import Throttled, Unavailable, WrongCredentials, signed_out_cookie
from services.portal.pages import LANGUAGE_COOKIE, language, page
from services.portal.words import LANGUAGES, Words

router = APIRouter()
_LONGEST_FIELD = 256
_YEAR = 365 * 24 * 3600


@router.get("/connexion")
async def sign_in_form(request: Request) -> Response:
    """The form to sign in."""
    told = language(request).signed_out if "parti" in request.query_params else ""
    suite = request.query_params.get("suite", "/")
    return page(request, "sign_in.html", suite=safe_next(suite), login="", error="", told=told)


@router.post("/connexion")
async def sign_in(request: Request) -> Response:
    """Sign in through the public API and hand its cookie on."""
    same_origin(request)
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
        cookies = await public(request).sign_in(visitor(request, anonymous=True), login, password)
    except WrongCredentials:
        return again(422, words.wrong_credentials)
    except Throttled as throttled:
        return again(429, _patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    except Unavailable:
        return again(503, words.sign_in_unavailable, {"Retry-After": "5"})
    return _with_cookies(see(safe_next(suite)), cookies)


@router.post("/deconnexion")
async def sign_out(request: Request) -> Response:
    """Sign out on the platform, and forget the session here whatever the platform answers."""
    same_origin(request)
    with contextlib.suppress(Unavailable):
        await public(request).sign_out(visitor(request))
    return _with_cookies(see("/connexion?parti"), [signed_out_cookie()])


@router.get("/langue/{lang}")
async def choose_language(request: Request, lang: str) -> Response:
    """Keep the language the visitor chose."""
    if lang not in LANGUAGES:
        raise HTTPException(404)
    answer = see(safe_next(request.query_params.get("suite", "/")))
    answer.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR, secure=True, httponly=True, samesite="lax")
    return answer


def _patience(words: Words, seconds: int) -> str:
    if seconds < 120:
        return words.throttled.format(seconds=seconds)
    return words.throttled_minutes.format(minutes=-(-seconds // 60))


def _with_cookies(answer: Response, cookies: list[str]) -> Response:
    for cookie in cookies:
        answer.headers.append("set-cookie", cookie)
    return answer
