"""What the visitor is told of, and what they were sent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from contracts.feed import Category
from services.portal import preferences, views
from services.portal.answers import Email, Preferences
from services.portal.api.parts import public, same_origin, see, sign_in_first, visitor
from services.portal.client import Me, NotSignedIn, Refused, Unavailable
from services.portal.pages import language, page

router = APIRouter()
_Answer = TypeVar("_Answer")


@router.get("/notifications")
async def notifications(request: Request) -> Response:
    """The form, and the messages under it."""
    return await _shown(request, saved="enregistre" in request.query_params)


@router.post("/notifications")
async def save(request: Request) -> Response:
    """Save the whole form; what is not ticked is not wanted."""
    same_origin(request)
    try:
        chosen = _chosen(await request.form(max_files=0, max_fields=12))
        await public(request).prefer(visitor(request), chosen)
    except NotSignedIn:
        return see("/connexion?suite=/notifications")
    except (ValidationError, Refused):
        return await _shown(request, 422, failed=True)
    except Unavailable:
        return await _shown(request, 503, failed=True)
    return see("/notifications?enregistre")


def _chosen(form: FormData) -> Preferences:
    return Preferences.model_validate(
        {
            "language": form.get("language"),
            "email": Email(enabled="email" in form),
            "categories": {category: category.value in form.getlist("category") for category in Category},
        }
    )


async def _shown(request: Request, status: int = 200, *, saved: bool = False, failed: bool = False) -> Response:
    client, who, words = public(request), visitor(request), language(request)
    if who.session is None:
        return sign_in_first(request)
    me, chosen, sent = await asyncio.gather(
        client.me(who), client.preferences(who), client.messages(who), return_exceptions=True
    )
    if isinstance(me, NotSignedIn):
        return sign_in_first(request)
    if not isinstance(me, Me):
        raise me
    view = preferences.notifications(me, _or_none(chosen), _or_none(sent), words, datetime.now(UTC))
    shown = status if view.form is not None else 503
    headers = {"Retry-After": "5"} if shown == 503 else {}
    nav = views.navigation(me, "notifications", words)
    told = {"saved": saved and not failed, "failed": failed}
    return page(request, "notifications.html", shown, headers=headers, view=view, person=me.person, nav=nav, **told)


def _or_none(answer: _Answer | BaseException) -> _Answer | None:
    """An answer, or None where the platform cannot give it at this moment; another error is ours."""
    if isinstance(answer, Unavailable | Refused | NotSignedIn):
        return None
    if isinstance(answer, BaseException):
        raise answer
    return answer
