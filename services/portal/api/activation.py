"""The page where a family uses its activation code."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.portal.api.parts import (
    LONGEST_FIELD,
    patience,
    providers,
    public,
    same_origin,
    see,
    visitor,
    with_cookies,
)
from services.portal.client import Taken, Throttled, WrongCode
from services.portal.pages import language, page

router = APIRouter()
_LONGEST_CODE = 64
_SHORTEST_PASSWORD = 8


@router.get("/activation")
async def activation_form(request: Request) -> Response:
    """The form for an activation code: with a login to choose, or for who a provider has just named."""
    buttons, pending = await providers(request)
    return page(request, "activation.html", buttons=buttons, pending=pending, code="", login="", error="")


@router.post("/activation")
async def activate(request: Request) -> Response:
    """Use an activation code through the public API and hand its cookies on."""
    same_origin(request)
    form = await request.form(max_files=0, max_fields=8)
    code, login = (str(form.get(name, ""))[:LONGEST_FIELD].strip() for name in ("code", "login"))
    password = str(form.get("password", ""))
    words = language(request)

    async def again(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
        buttons, pending = await providers(request)
        shown = {"code": code, "login": login, "error": error, "pending": pending, "buttons": buttons}
        return page(request, "activation.html", status, headers=headers, **shown)

    own = None if "pending" in form else {"login": login, "password": password}
    if not code:
        return await again(422, words.missing_code)
    if own and (not login or not _SHORTEST_PASSWORD <= len(password) <= LONGEST_FIELD):
        return await again(422, words.short_password)
    try:
        cookies = await public(request).activate(visitor(request, anonymous=True), code[:_LONGEST_CODE], own)
    except WrongCode:
        return await again(422, words.wrong_code)
    except Taken as taken:
        return await again(409, words.taken.get(taken.code, words.wrong_code))
    except Throttled as throttled:
        return await again(429, patience(words, throttled.seconds), {"Retry-After": str(throttled.seconds)})
    return with_cookies(see("/"), cookies)
