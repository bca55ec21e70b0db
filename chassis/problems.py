"""Problem documents (RFC 9457): every refusal names what is wrong, with which field, by which rule."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from asyncpg import UndefinedTableError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from chassis.database import UNREACHABLE
from chassis.outbox import OutboxFull
from chassis.telemetry import request_id

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 100
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input: where (`marks.3.score`), which rule, and in words."""

    field: str
    rule: str
    message: str


class Problem(Exception):
    """A refusal that becomes a problem document; `code` is stable, for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The members of the document."""
        found: dict[str, Any] = {
            "type": f"urn:preau:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail:
            found["detail"] = self.detail
        if self.errors:
            found["errors"] = [asdict(e) for e in self.errors[:_MOST_ERRORS]]
        if request_id.get():
            found["request"] = request_id.get()
        return found

    def response(self) -> Response:
        """The document as a response."""
        body = json.dumps(self.document(), ensure_ascii=False)
        return Response(body.encode(errors="replace"), self.status, self.headers, MEDIA_TYPE)


def not_found() -> Problem:
    """Nothing here that the caller may see; does not tell whether it exists."""
    return Problem(404, "not-found", "Not found")


def invalid(errors: Iterable[FieldError]) -> Problem:
    """The input breaks the rules named."""
    return Problem(422, "invalid", "The input breaks a rule", errors=list(errors))


def busy(detail: str, retry_after: int = 1) -> Problem:
    """Not now; the same request may be sent again after that many seconds."""
    headers = {"Retry-After": str(retry_after)}
    return Problem(503, "unavailable", "Not available right now", detail=detail, headers=headers)


_TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    413: "The body is too large",
    415: "Unsupported media type",
}
_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


def install(app: FastAPI) -> None:
    """Make every error of an app a problem document."""

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> Response:
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        return invalid(_field_errors(error)).response()

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        status = error.status_code
        code, title = _CODES.get(status, f"http-{status}"), _TITLES.get(status, "The request was refused")
        return Problem(status, code, title, headers=error.headers).response()

    async def on_unavailable(_: Request, error: Exception) -> Response:
        _log.warning("unavailable", extra={"cause": type(error).__name__})
        return busy("The database is not available.").response()

    for kind in UNREACHABLE:
        app.add_exception_handler(kind, on_unavailable)

    @app.exception_handler(UndefinedTableError)
    async def on_empty(_: Request, __: UndefinedTableError) -> Response:
        # A database that was put back empty: it is migrated when the process starts again, which its other work sees to.
        _log.error("the database has no tables")
        return busy("The database is not available.").response()

    @app.exception_handler(OutboxFull)
    async def on_full(_: Request, __: OutboxFull) -> Response:
        return busy("Too many events wait to be sent; writes are refused until they are.", 10).response()


def _field_errors(error: RequestValidationError) -> list[FieldError]:
    found = []
    for one in error.errors()[:_MOST_ERRORS]:
        where = [str(part) for part in one["loc"]]
        field = ".".join(where[1:] if len(where) > 1 else where)
        found.append(FieldError(field, one["type"], str(one["msg"])))
    return found
