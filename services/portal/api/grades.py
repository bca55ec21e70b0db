"""A child's grades, by subject."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.portal import gradebook, views
from services.portal.answers import Averages, Grade, Term
from services.portal.api.parts import both, public, see, sign_in_first, visitor
from services.portal.client import FeedQuery, NotSignedIn, PublicApi, Refused, Visitor
from services.portal.gradebook import Pupil
from services.portal.pages import language, page

router = APIRouter()


@router.get("/notes")
async def grades(request: Request) -> Response:
    """The grades of a child of the visitor's, or their own, of one term: the current one where none is named."""
    try:
        child, asked = (_id(request, name) for name in ("enfant", "periode"))
        return await _grades(request, public(request), visitor(request), child, asked)
    except NotSignedIn:
        return sign_in_first(request)
    except (ValueError, Refused):
        # No sensible address, or no right (any more): what the visitor may see begins at home.
        return see("/")


def _id(request: Request, name: str) -> UUID | None:
    given = request.query_params.get(name)
    return None if given is None else UUID(given)


async def _grades(
    request: Request, client: PublicApi, who: Visitor, child: UUID | None, asked: UUID | None
) -> Response:
    if who.session is None:
        raise NotSignedIn
    now, words = datetime.now(UTC), language(request)
    me = await client.me(who)
    pupil = gradebook.pupil_of(me, child)
    if pupil is None:
        return see("/")
    school, feed = await both(client.school(who, pupil.uai), client.feed(who, FeedQuery(limit=1)))
    terms = gradebook.begun(school, now.astimezone(views.ZONE).date())
    term = next((one for one in terms if asked in (None, one.id)), None)
    if term is None and asked is not None:
        return see(f"/notes?enfant={pupil.id}")
    averages, marks = await _of_term(client, who, pupil, term)
    view = gradebook.grades(me, pupil, terms, term, averages, marks, feed.cursor, words, now)
    nav = views.navigation(me, "grades", words, child)
    return page(request, "grades.html", view=view, person=me.person, nav=nav)


async def _of_term(client: PublicApi, who: Visitor, pupil: Pupil, term: Term | None) -> tuple[Averages, list[Grade]]:
    if term is None:
        return Averages(terms=[]), []
    return await both(client.averages(who, pupil.id, term.school_year), client.grades(who, pupil.id, term.id))
