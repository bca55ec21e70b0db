"""The mailbox's pages and its JSON: what came, newest first, and each message without running anything of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.types import ASGIApp

from chassis.headers import DefaultHeaders
from chassis.http import create_app
from chassis.problems import Problem, not_found
from infra.mailbox.messages import read
from infra.mailbox.settings import MailboxSettings
from infra.mailbox.store import Kept, MessageStore

PAGE = 50
_HERE = Path(__file__).parent
_ZONE = ZoneInfo("Europe/Paris")
_LONGEST_SEARCH = 200
_STATIC = {"mailbox.css": "text/css; charset=utf-8", "mailbox.js": "text/javascript; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# What a stranger wrote: no script, no form, nothing loaded from anywhere, in an origin of its own.
_POLICY_OF_HTML = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'self'; sandbox"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: forms would then send `Origin: null`, and the check of the origin would refuse them.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Id = Annotated[int, Query(ge=0, le=2**63 - 1)]
Searched = Annotated[str, Query(max_length=_LONGEST_SEARCH)]


def build(settings: MailboxSettings, store: MessageStore) -> ASGIApp:
    """The mailbox's HTTP app over its store."""
    app = create_app("mailbox", settings)
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters["moment"] = _moment
    _programs(app, store)
    _people(app, store, templates)
    _around(app, store)
    # A page of another site whose name was turned to this host could else read the messages.
    return TrustedHostMiddleware(
        DefaultHeaders(app, _HEADERS), allowed_hosts=list(settings.mailbox_names), www_redirect=False
    )


def _programs(app: FastAPI, store: MessageStore) -> None:
    @app.get("/messages.json")
    async def list_messages(
        to: Searched = "", after: Id = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """Messages to a recipient (empty: to anybody) above the id `after`, oldest first, texts cut at 20000 characters.

        `next` goes into `after`.
        """
        found = await store.after(to, after, limit)
        messages = [_document(kept, text) for kept, text in found]
        return JSONResponse({"messages": messages, "next": found[-1][0].id if found else after})

    @app.get("/messages/{id}.json")
    async def read_message(id: int) -> Response:
        """One message, with its headers, its HTML and the names of its attachments."""
        kept, raw = await _existing(store, id)
        content = read(raw)
        more = {
            "html": content.html,
            "headers": content.headers,
            "attachments": [asdict(a) for a in content.attachments],
        }
        return JSONResponse({**_document(kept, content.text), **more})

    @app.get("/messages/{id}.eml")
    async def download(id: int) -> Response:
        """One message as it came."""
        _, raw = await _existing(store, id)
        return Response(
            raw,
            media_type="message/rfc822",
            headers={"Content-Disposition": f'attachment; filename="message-{id}.eml"'},
        )

    @app.get("/newest")
    async def newest() -> Response:
        """The id of the newest message, for pages that show what comes."""
        return JSONResponse({"id": await store.newest()})


def _people(app: FastAPI, store: MessageStore, templates: Environment) -> None:
    def page(name: str, **shown: object) -> Response:
        return HTMLResponse(templates.get_template(name).render(**shown))

    @app.get("/")
    async def home(q: Searched = "", before: Id | None = None) -> Response:
        """What came, newest first, searched by recipient or subject."""
        found = await store.latest(q, before, PAGE)
        older = found[-1].id if len(found) == PAGE else None
        return page("list.html", messages=found, search=q, older=older, newest=await store.newest())

    @app.get("/messages/{id}")
    async def message(id: int) -> Response:
        """One message: headers, text, and its HTML in a frame that runs nothing."""
        kept, raw = await _existing(store, id)
        return page("message.html", message=kept, content=read(raw))

    @app.get("/messages/{id}/html")
    async def html(id: int) -> Response:
        """The HTML of a message under a policy that lets it run and load nothing."""
        _, raw = await _existing(store, id)
        found = read(raw).html
        if found is None:
            raise not_found()
        return HTMLResponse(found, headers={"Content-Security-Policy": _POLICY_OF_HTML})


def _around(app: FastAPI, store: MessageStore) -> None:
    @app.post("/delete")
    async def delete(request: Request) -> Response:
        """Remove every message."""
        _same_origin(request)
        await store.clear()
        return RedirectResponse("/", 303)

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        """Style and script of the pages."""
        if name not in _STATIC:
            raise not_found()
        return Response((_HERE / "static" / name).read_bytes(), media_type=_STATIC[name])


async def _existing(store: MessageStore, id: int) -> tuple[Kept, bytes]:
    found = await store.one(id) if 0 < id < 2**63 else None
    if found is None:
        raise not_found()
    return found


def _document(kept: Kept, text: str | None) -> dict[str, Any]:
    return {
        "id": kept.id,
        "from": kept.sender,
        "to": kept.recipients,
        "subject": kept.subject,
        "message_id": kept.message_id,
        "in_reply_to": kept.in_reply_to,
        "received_at": kept.received_at.isoformat(),
        "text": text,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%d/%m/%Y %H:%M:%S")


def _same_origin(request: Request) -> None:
    """Refuse a form that another site sent; a program sends neither header."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    ours = urlsplit(origin).netloc == request.headers.get("host") if origin else site in ("same-origin", "none")
    if not ours:
        raise Problem(403, "foreign-site", "This request comes from another site")
