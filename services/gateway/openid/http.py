"""Calls to providers: bounded in time and size, no redirects, JSON or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from services.gateway.openid.identity import SignInFailed

_LONGEST_ANSWER = 256 * 1024
_CONNECTIONS = 50


class ProviderHttp:
    """One pool for all providers."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json"},
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str) -> dict[str, Any]:
        """The JSON object at an address; raises `SignInFailed`."""
        return await self._json("GET", url)

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object a form is answered with; raises `SignInFailed`."""
        return await self._json("POST", url, data=form, headers=headers)

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        if self._session is None:
            raise SignInFailed("unavailable", "closed")
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:
                status, body = response.status, await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SignInFailed("unavailable", type(error).__name__) from error
        if status != 200:
            raise SignInFailed("unavailable" if status >= 500 or status == 429 else "invalid", f"status {status}")
        return _object(body)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > _LONGEST_ANSWER:
            raise SignInFailed("invalid", "an answer too large")
        parts.append(part)
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SignInFailed("invalid", "no JSON") from error
    if not isinstance(found, dict):
        raise SignInFailed("invalid", "no JSON object")
    return found
