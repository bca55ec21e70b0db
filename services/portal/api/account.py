"""Signing in and out, and the choice of a language."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from services.portal.api.parts import (
    LONGEST_FIELD,
    patience,
    providers,
    public,
    safe_next,
    same_origin,
    see,
    visitor,
    with_cookies,
)
from services.portal.client import Throttled, Unavailable, WrongCredentials, signed_out_cookie
from services.portal.pages import LANGUAGE_COOKIE, language, page
from services.portal.words import LANGUAGES

router = APIRouter()
_YEAR = 365 * 24 * 3600


@router.get("/connexion")
async def sign_in_form(request: Request) -> Response:
    """The form to sign in, with a button for each provider, and what became of a sign-in with one."""
    words, asked = language(request), request.query_params
    told = words.signed_out if "parti" in asked else ""
    error = words.provider_failed.get(asked.get("erreur", ""), "")
    buttons, _ = await providers(request)
    suite = safe_next(asked.get("suite", "/"))
    return page(request, "sign_in.html", buttons=buttons, suite=suite, login="", error=error, told=told)


@router.post("/connexion")
async def sign_in(request: Request) -> Response:
    """Sign in through the public API and hand its cookies on."""
    same_origin(request)
    form = await request.form(max_files=0, max_fields=8)
    login, password, suite = (str(form.get(name, "")) for name in ("login", "password", "suite"))
    words = language(request)

    async def again(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
        shown = {"suite": safe_next(suite), "login": login[:LONGEST_FIELD], "error": error, "told": ""}
        buttons, _ = ([], "") if status == 503 else await providers(request)
        return page(request, "sign_in.html", status, headers=headers, buttons=buttons, **shown)

    login = login.strip()
    if not login or not password:
        return await again(422, words.missing_credentials)
    if len(login) > LONGEST_FIELD or len(password) > LONGEST_FIELD:
        return await again(422, words.wrong_credentials)
    try:
        cookies = await public(request).sign_in(visitor(request, anonymous=True), login, password)
    except WrongCredentials:
        return await again(422, words.wrong_credentials)
    except Throttled as throttled:
        return await again(429, patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    except Unavailable:
        return await again(503, words.sign_in_unavailable, {"Retry-After": "5"})
    return with_cookies(see(safe_next(suite)), cookies)


@router.post("/deconnexion")
async def sign_out(request: Request) -> Response:
    """Sign out on the platform, at the provider too, and forget the session here whatever the platform answers."""
    same_origin(request)
    place = None
    with contextlib.suppress(Unavailable):
        place = await public(request).sign_out(visitor(request))
    # A form may lead to our own pages alone, says the policy: a page of ours leads on to the provider.
    answer = (
        page(request, "signed_out.html", headers={"Refresh": f"0; url={place}"}, place=place)
        if place
        else see("/connexion?parti")
    )
    return with_cookies(answer, [signed_out_cookie()])


@router.get("/langue/{lang}")
async def choose_language(request: Request, lang: str) -> Response:
    """Keep the language the visitor chose."""
    if lang not in LANGUAGES:
        raise HTTPException(404)
    answer = see(safe_next(request.query_params.get("suite", "/")))
    answer.set_cookie(LANGUAGE_COOKIE, lang, max_age=_YEAR, secure=True, httponly=True, samesite="lax")
    return answer
