"""The visitor's news."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response

from contracts.feed import Category
from services.portal import views
from services.portal.api.parts import LONGEST_PLACE, both, public, see, sign_in_first, visitor
from services.portal.client import FeedPage, FeedQuery, Me, NotSignedIn, PublicApi, Refused, Unavailable, Visitor
from services.portal.pages import language, page

router = APIRouter()


@router.get("/")
async def home(request: Request) -> Response:
    """The visitor's news, filtered by plain links."""
    query, asked = _query(request)
    if query is None:
        return see("/")
    try:
        me, feed = await _me_and_feed(public(request), visitor(request), query)
    except NotSignedIn:
        return sign_in_first(request)
    except Refused:
        # A filter or place that is no longer the visitor's: a right ended, or the link came from elsewhere.
        if asked:
            return see("/")
        raise Unavailable from None
    words = language(request)
    view = views.home(me, feed, query, words, datetime.now(UTC))
    nav = views.navigation(me, "news", words, query.child)
    return page(request, "home.html", view=view, person=me.person, nav=nav)


async def _me_and_feed(public: PublicApi, visitor: Visitor, query: FeedQuery) -> tuple[Me, FeedPage]:
    if visitor.session is None:
        raise NotSignedIn
    return await both(public.me(visitor), public.feed(visitor, query))


def _query(request: Request) -> tuple[FeedQuery | None, bool]:
    """What the address asks for (None when it makes no sense), and whether it asks for anything."""
    asked = request.query_params
    try:
        child = UUID(asked["enfant"]) if "enfant" in asked else None
        category = Category(asked["rubrique"]).value if "rubrique" in asked else None
    except ValueError:
        return None, True
    before = asked.get("avant")
    if before is not None and not 0 < len(before) <= LONGEST_PLACE:
        return None, True
    return FeedQuery(child, category, before), bool(child or category or before)
