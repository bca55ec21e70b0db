"""Routes answered before FastAPI's own way is gone: for the few whose requests are many, or whose answers are waited for."""

from __future__ import annotations

import email.message
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import PydanticUndefined
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send


class First:
    """Tries routes in their order and passes on what none of them is for; pure ASGI, so that it costs no task."""

    def __init__(self, routes: Sequence[BaseRoute], app: ASGIApp) -> None:
        self._routes = tuple(routes)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the first route that is for this request."""
        for route in self._routes:
            match, more = route.matches(scope)
            if match is Match.FULL:
                scope.update(more)
                await route.handle(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Direct(BaseRoute):
    """A route of FastAPI's that reads its arguments by itself, as FastAPI describes them and with FastAPI's errors.

    It is for an endpoint that takes a path and a JSON body, answers a `Response`, and depends on what the request
    alone tells. FastAPI's way to such an endpoint costs more than the reading. The description stays FastAPI's.
    """

    def __init__(self, router: APIRouter, endpoint: Callable[..., Awaitable[Response]]) -> None:
        route = next(one for one in router.routes if isinstance(one, APIRoute) and one.endpoint is endpoint)
        takes = route.dependant
        if takes.query_params or takes.header_params or takes.cookie_params or len(takes.body_params) != 1:
            raise ValueError(f"{route.name} takes more than a path and a body")
        self._endpoint = endpoint
        self._path, self._methods = route.path_regex, frozenset(route.methods or ())
        self._takes, self._request = takes, takes.request_param_name
        self._needs = [(one.name, one.call) for one in takes.dependencies if one.name and one.call]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is the path and the method."""
        if scope["type"] == "http" and scope["method"] in self._methods:
            found = self._path.match(scope["path"])
            if found:
                return Match.FULL, {"path_params": found.groupdict()}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the arguments and answer; raises what FastAPI raises."""
        request = Request(scope, receive, send)
        response = await self._endpoint(**await self._arguments(request))
        await response(scope, receive, send)

    async def _arguments(self, request: Request) -> dict[str, Any]:
        body = await _body(request)
        values = {name: await call(request) for name, call in self._needs}
        path, errors = request_params_to_args(self._takes.path_params, request.path_params)
        told, wrong = await request_body_to_args(self._takes.body_params, body, embed_body_fields=False)
        if errors or wrong:
            raise RequestValidationError([*errors, *wrong], body=body)
        if self._request:
            values[self._request] = request
        return {**values, **path, **told}


async def _body(request: Request) -> Any:
    """The body as JSON where it says that it is; else as it came."""
    try:
        raw = await request.body()
        if not raw:
            return PydanticUndefined
        return json.loads(raw) if _is_json(request.headers.get("content-type", "")) else raw
    except json.JSONDecodeError as error:
        wrong = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([wrong], body=error.doc) from error
    except HTTPException:
        raise
    except Exception as error:
        raise HTTPException(400) from error


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":
        # What nearly all say; a look at what others say costs more than the body.
        return True
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
