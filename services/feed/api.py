"""The HTTP side of the feed: the history by page, and what changed since a cursor."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

from chassis import audit
from chassis.cursor import Cursors
from chassis.database import Database
from chassis.identity import Caller, caller
from chassis.problems import FieldError, Problem
from chassis.replays import require_operator
from contracts.feed import Category, ItemPut
from roster.oversight import may_read_audit
from services.feed import store, usecases
from services.feed.rebuild import Rebuild, Standing
from services.feed.store import Generation, Item
from services.feed.usecases import Reading

router = APIRouter(prefix="/v1")


@dataclass(frozen=True, slots=True)
class Feed:
    """What the endpoints stand on."""

    database: Database
    cursors: Cursors
    rebuild: Rebuild


async def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


class FeedPage(BaseModel):
    """A page: items as on the stream, the page before it (`next`), the cursor to stream or catch up from."""

    items: list[ItemPut]
    next: str | None
    cursor: str


@router.get("/feed", response_model=FeedPage, operation_id="readFeed")
async def read_feed(
    by: Annotated[Caller, Depends(caller)],
    feed: Annotated[Feed, Depends(_feed)],
    child: UUID | None = None,
    category: Category | None = None,
    before: Annotated[str | None, Query(max_length=200)] = None,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 30,
) -> Response:
    """What the reader may see at this moment, latest first; `before` (a page's `next`) pages back.

    With `after` (a cursor): what changed since, oldest first, each with its `cursor`, removed items marked `removed`;
    `more` tells whether the page was full. 410 where the cursor cannot be continued.
    """
    if before and after:
        raise Problem(
            400, "bad-request", "Page back or catch up", errors=[FieldError("after", "exclusive", "Not with before")]
        )
    async with feed.database.connection() as connection, connection.transaction(isolation="repeatable_read"):
        reader = await usecases.reading(connection, by, child)
        state = await usecases.serving(connection)
        if after:
            offset = usecases.place(feed.cursors, after, reader, state.generation)
            changed = await store.changes(connection, reader.wanted, offset, category, limit, state.generation)
            return _changes(feed, reader, changed, limit, replace(state, position=max(state.position, offset)))
        found = await store.page(connection, reader.wanted, _place(before), category, limit, state.generation)
    return _page(feed, reader, found, limit, state)


@router.get("/schools/{uai}/audit", operation_id="readFeedAudit")
async def read_audit(
    uai: Annotated[str, Path(pattern=r"^[0-9]{7}[A-Z]$")],
    by: Annotated[Caller, Depends(caller)],
    feed: Annotated[Feed, Depends(_feed)],
    asked: audit.Asked,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """Who was refused the news of a school's pupils; for its head and operators."""
    async with feed.database.connection() as connection:
        await may_read_audit(connection, by, uai)
        return (await audit.page(connection, uai, asked, limit)).document()


def _own(feed: Feed, reader: Reading) -> str:
    return feed.cursors.reader(str(reader.person), reader.held)


def _page(feed: Feed, reader: Reading, found: list[Item], limit: int, state: Generation) -> Response:
    following = _token(found[-1]) if len(found) == limit else None
    cursor = feed.cursors.issue(state.generation, state.position, _own(feed, reader))
    # Bodies are JSON already: put together as they are, nothing is serialised twice.
    items = b",".join(item.body for item in found)
    tail = to_json({"next": following, "cursor": cursor})
    return _json(b'{"items":[' + items + b"]," + tail[1:])


def _changes(feed: Feed, reader: Reading, found: list[Item], limit: int, state: Generation) -> Response:
    own = _own(feed, reader)
    more = len(found) == limit
    items = []
    for item in found:
        cursor = feed.cursors.issue(state.generation, item.position, own)
        mark = b',"removed":true' if item.removed else b""
        items.append(item.body[:-1] + mark + b',"cursor":' + to_json(cursor) + b"}")
    last = found[-1].position if more else state.position
    tail = to_json({"cursor": feed.cursors.issue(state.generation, last, own), "more": more})
    return _json(b'{"items":[' + b",".join(items) + b"]," + tail[1:])


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _token(item: Item) -> str:
    text = f"{item.published_at.isoformat()}|{item.id}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _place(before: str | None) -> tuple[datetime, UUID] | None:
    if before is None:
        return None
    try:
        text = base64.b64decode(before + "=" * (-len(before) % 4), altchars=b"-_", validate=True).decode()
        at, _, id = text.partition("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no offset")
        return moment.astimezone(UTC), UUID(id)
    except (ValueError, OverflowError, binascii.Error) as error:
        rule = FieldError("before", "page", "Not the `next` of a page")
        raise Problem(400, "bad-cursor", "Not the `next` of a page", errors=[rule]) from error


# Generations: for operators alone, no part of the public API

Number = Annotated[int, Path(ge=1, le=65535)]
_ACTION = "feed.rebuild"


@router.get("/feed/generations", include_in_schema=False)
async def read_generations(
    by: Annotated[Caller, Depends(caller)], feed: Annotated[Feed, Depends(_feed)]
) -> dict[str, Any]:
    """Each generation with its state and how far it is behind; `next` is the number a rebuild would have."""
    require_operator(by, _ACTION, "feed")
    standing = await feed.rebuild.standing()
    return {"generations": [_standing(one) for one in standing], "next": standing[-1].generation.generation + 1}


@router.put("/feed/generations/{number}", include_in_schema=False)
async def begin_generation(
    number: Number, by: Annotated[Caller, Depends(caller)], feed: Annotated[Feed, Depends(_feed)]
) -> dict[str, Any]:
    """Begin to build a generation, or find it building; its topic must be there. 409 where it can't be begun."""
    require_operator(by, _ACTION, f"generations/{number}")
    return _standing(await feed.rebuild.begin(by, number))


@router.post("/feed/generations/{number}/switch", include_in_schema=False)
async def switch_generation(
    number: Number, by: Annotated[Caller, Depends(caller)], feed: Annotated[Feed, Depends(_feed)]
) -> dict[str, Any]:
    """Have a generation serve whose domains have replayed all; 409 while it is behind, nothing where it serves."""
    require_operator(by, _ACTION, f"generations/{number}")
    return _standing(await feed.rebuild.switch(by, number))


@router.delete("/feed/generations/{number}", status_code=204, include_in_schema=False)
async def abandon_generation(
    number: Number, by: Annotated[Caller, Depends(caller)], feed: Annotated[Feed, Depends(_feed)]
) -> Response:
    """Give up a generation that is building."""
    require_operator(by, _ACTION, f"generations/{number}")
    await feed.rebuild.abandon(by, number)
    return Response(status_code=204)


def _standing(one: Standing) -> dict[str, Any]:
    return {**asdict(one.generation), "topic": one.topic, "behind": one.behind}
