"""The HTTP app of a service: request ids, deadlines, body limits, traces, problem documents."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from opentelemetry.trace import SpanKind
from pydantic import AfterValidator, StringConstraints
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import problems, telemetry
from chassis.direct import First
from chassis.identity import TokenVerifier
from chassis.problems import FieldError, Problem
from chassis.settings import HttpSettings
from contracts.envelope import new_id

__all__ = ["CleanText", "FieldError", "Problem", "create_app"]

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"^[0-9A-Za-z-]{8,64}$")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_latency = telemetry.meter.create_histogram("preau_http_request_seconds", "s", "Time to answer a request")


def _no_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


CleanText = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_no_control_characters)]
"""Text as people write it: any script, no control characters (PostgreSQL cannot store a NUL)."""


class _App(FastAPI):
    """FastAPI without the layers that would do once more, for every request, what the house does itself.

    Those are for unexpected errors, large bodies and traces. `first` are routes tried before FastAPI's router.
    """

    first: Sequence[BaseRoute] = ()

    def build_middleware_stack(self) -> ASGIApp:
        """What a request goes through, from the inside out."""
        app: ASGIApp = First(self.first, AsyncExitStackMiddleware(self.router))
        app = ExceptionMiddleware(app, self.exception_handlers)
        for layer, args, options in reversed(self.user_middleware):
            app = layer(app, *args, **options)
        return app


def create_app(
    title: str,
    settings: HttpSettings,
    verifier: TokenVerifier | None = None,
    *,
    public: bool = False,
    first: Sequence[BaseRoute] = (),
) -> FastAPI:
    """A FastAPI app with the rules of the house; its OpenAPI document is at `/openapi.json`.

    A `public` app begins its own traces: what anybody may send must not decide what is sampled. Routes that are `first`
    are tried before FastAPI's router, by the same rules.
    """
    app = _App(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        # The house measures and traces requests itself: FastAPI would take up a stranger's trace.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.first = first
    app.state.verifier = verifier
    problems.install(app)
    app.add_middleware(_House, settings=settings, service=title, public=public)
    return app


class _House:
    """Pure ASGI, since a middleware that wraps the body in a stream would cost every request a task."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, service: str, *, public: bool) -> None:
        self._app = app
        self._settings = settings
        self._service = service
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request = given if _REQUEST_ID.match(given) else new_id()
        token = telemetry.request_id.set(request)
        answer = _Answer(send, request)
        given_trace = b"" if self._public else headers.get(b"traceparent", b"")
        traceparent = given_trace.decode("latin-1") or None
        began = asyncio.get_running_loop().time()
        try:
            with telemetry.span(f"{self._service} {scope['method']}", traceparent, SpanKind.SERVER) as span:
                await self._bounded(scope, headers, receive, answer)
                span.set_attribute("http.response.status_code", answer.status)
        finally:
            telemetry.request_id.reset(token)
            elapsed = asyncio.get_running_loop().time() - began
            _latency.record(elapsed, {"service": self._service, "method": scope["method"], "status": answer.status})

    async def _bounded(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: _Answer) -> None:
        limit = self._settings.body_bytes
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            too_large = Problem(413, "body-too-large", "The body is too large", detail=f"At most {limit} bytes.")
            await answer.instead(too_large, scope, receive)
            return
        body = _Body(receive, limit, complete=not length and b"transfer-encoding" not in headers)
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await self._app(scope, body, answer)
        except TimeoutError:
            problem = problems.busy("The deadline of the request has passed.")
            if not body.complete:
                problem = Problem(408, "body-too-slow", "The body did not arrive in time")
            await answer.instead(problem, scope, receive)
        except Exception as error:
            _log.exception("unexpected error", extra={"kind": type(error).__name__})
            await answer.instead(Problem(500, "internal", "Something went wrong on our side"), scope, receive)


class _Body:
    """Receives a body up to a limit and knows whether all of it came."""

    def __init__(self, receive: Receive, limit: int, *, complete: bool) -> None:
        self._receive = receive
        self._left = limit
        self.complete = complete

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                # FastAPI turns any other exception met while it reads a body into a 400.
                raise HTTPException(413)
            self.complete = not message.get("more_body", False)
        return message


class _Answer:
    """Sends with the request's id, and knows whether an answer has begun."""

    def __init__(self, send: Send, request: str) -> None:
        self._send = send
        self._request = request.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._request)]
        await self._send(message)

    async def instead(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Answer with a problem unless another answer has begun."""
        if not self.status:
            await problem.response()(scope, receive, self)
