"""Headers that every answer carries, whoever made it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))
# A policy beside the portal's own: a browser obeys both.
_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")
_NOT_STORED = (b"cache-control", b"no-store")
_API = "/v1/"


class SafeHeaders:
    """Wraps an app: no sniffing, no foreign frames, no addresses told, nothing of the API stored unless it says so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; pure ASGI, so that it costs no task."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name for name, _ in headers}
                wanted = (*_ALWAYS, _NOT_STORED) if scope["path"].startswith(_API) else _ALWAYS
                message["headers"] = [*headers, _FRAMES, *((n, v) for n, v in wanted if n not in there)]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
