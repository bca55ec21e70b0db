"""A provider's signing keys: kept, fetched anew when a token names one that is not there, and now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from services.gateway.limiter import Limiter, Rate
from services.gateway.openid.identity import SignInFailed

ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""The algorithms that are believed, and the kind of key each needs: none that a public key could be the secret of."""
_KEPT_SECONDS = 3600.0
_MOST = 50
_REFRESHES = Rate(per_second=1 / 20, burst=5)


class Keys:
    """The keys of one provider; `fetch` gets its JWKS document."""

    def __init__(self, fetch: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._fetch = fetch
        self._keys: list[dict[str, Any]] = []
        self._until = float("-inf")
        # What anybody can send must not decide how often the provider is asked.
        self._refreshes = Limiter(_REFRESHES, most=1)
        self._lock = asyncio.Lock()

    async def key(self, algorithm: str, kid: str | None) -> Any:
        """The public key a signature is to be checked with; raises `SignInFailed` when there is none."""
        kind = ALGORITHMS.get(algorithm)
        if kind is None:
            raise SignInFailed("invalid", "algorithm")
        if time.monotonic() > self._until or self._find(algorithm, kind, kid) is None:
            await self._refresh(algorithm, kind, kid)
        found = self._find(algorithm, kind, kid)
        if found is None:
            raise SignInFailed("invalid", "no such key")
        try:
            return jwt.PyJWK(found, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise SignInFailed("invalid", "bad key") from error

    async def _refresh(self, algorithm: str, kind: str, kid: str | None) -> None:
        async with self._lock:
            fresh = time.monotonic() <= self._until
            if fresh and (self._find(algorithm, kind, kid) is not None or self._refreshes.wait("keys")):
                return
            keys = (await self._fetch()).get("keys")
            if not isinstance(keys, list):
                raise SignInFailed("invalid", "no keys")
            self._keys = [one for one in keys[:_MOST] if isinstance(one, dict)]
            self._until = time.monotonic() + _KEPT_SECONDS

    def _find(self, algorithm: str, kind: str, kid: str | None) -> dict[str, Any] | None:
        fitting = [
            one
            for one in self._keys
            if one.get("kty") == kind
            and one.get("use", "sig") == "sig"
            and one.get("alg", algorithm) == algorithm
            and (kid is None or one.get("kid") == kid)
        ]
        # A token that names no key is believed where there is but one it can mean.
        return fitting[0] if fitting and (kid is not None or len(fitting) == 1) else None
