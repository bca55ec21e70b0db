"""Rendering: templates, static files by content, the headers every page carries, and pages for what goes wrong."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from chassis.headers import DefaultHeaders
from services.portal.client import Unavailable
from services.portal.words import LANGUAGES, Words, choose

LANGUAGE_COOKIE = "__Host-preau_lang"
_HERE = Path(__file__).parent
_log = logging.getLogger(__name__)

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # No script of ours turns text into markup; the browser refuses one that would.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: forms would then send `Origin: null`, and the check of the origin would refuse them.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Assets:
    """The static files, read once; their address holds a digest of them all, so they may be kept for ever."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + body for name, body in self._files.items()))
        self.version = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Where the page finds a file; a name that does not exist is a mistake of ours."""
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def answer(self, name: str) -> Response:
        """A file, or 404; an outdated version gets the present file, not kept long."""
        if name not in self._files:
            raise HTTPException(404)
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        return Response(self._files[name], media_type=kind or "application/octet-stream")


ASSETS = Assets(_HERE / "static")
_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = ASSETS.url


def language(request: Request) -> Words:
    """The words of the visitor's language."""
    return choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language"))


def here(request: Request) -> str:
    """The path and query of the request, to come back to."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def page(
    request: Request,
    template: str,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """A page in the visitor's language; pages hold personal data and are kept by nobody."""
    words = language(request)
    others = [other for other in LANGUAGES.values() if other is not words]
    body = _templates.get_template(template).render(
        words=words, others=others, here=here(request) if request.method == "GET" else "/", **values
    )
    kept = {"Cache-Control": "no-store", "Content-Language": words.lang, "Vary": "Accept-Language, Cookie"}
    return Response(body, status, {**kept, **(headers or {})}, "text/html; charset=utf-8")


def notice(request: Request, status: int, kind: str, headers: Mapping[str, str] | None = None) -> Response:
    """A page that says what went wrong; `kind` names the texts."""
    words = language(request)
    return page(
        request,
        "notice.html",
        status,
        headers=headers,
        title=getattr(words, f"{kind}_title"),
        text=getattr(words, kind),
        retry=status >= 500 and request.method == "GET",
    )


def unavailable(request: Request) -> Response:
    """The platform cannot be reached."""
    return notice(request, 503, "unavailable", {"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Make every answer of an app carry the headers, and every error a page that a family can read."""
    app.add_middleware(DefaultHeaders, headers=_HEADERS)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        kind = "not_found" if error.status_code in (404, 405) else "refused"
        return notice(request, error.status_code, kind, error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, _: RequestValidationError) -> Response:
        return notice(request, 400, "refused")

    @app.exception_handler(Unavailable)
    async def on_unavailable(request: Request, error: Unavailable) -> Response:
        _log.warning("the public API did not answer", extra={"cause": type(error.__cause__).__name__})
        return unavailable(request)

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> Response:
        _log.error("unexpected error", exc_info=error)
        return notice(request, 500, "failed")
