"""The portal's pages: parse, ask the public API with the visitor's session, answer."""

from __future__ import annotations

from fastapi import APIRouter, Response

from services.portal.api import account, activation, grades, home, notifications
from services.portal.pages import ASSETS

router = APIRouter(include_in_schema=False)
for _part in (home, grades, notifications, account, activation):
    router.include_router(_part.router)


@router.get("/static/{version}/{name}")
async def static(version: str, name: str) -> Response:
    """A static file; its address changes with its content."""
    answer = ASSETS.answer(name)
    lasting = "public, max-age=31536000, immutable" if version == ASSETS.version else "no-cache"
    answer.headers["Cache-Control"] = lasting
    return answer
