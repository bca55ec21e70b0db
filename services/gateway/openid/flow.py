"""One sign-in: what the browser keeps for us on its way to the provider and back, and how it is used up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from chassis.database import Database
from services.gateway.domain import digest
from services.gateway.openid import store
from services.gateway.openid.identity import Identity, SignInFailed
from services.gateway.openid.provider import Provider
from services.gateway.seals import FLOW, Seals

SECONDS = 600
"""How long somebody may take to sign in at the provider."""
_LONGEST = 4096
_AWAY = ("server_error", "temporarily_unavailable")


@dataclass(frozen=True, slots=True)
class Flow:
    """What a sign-in was begun with; sealed into a cookie, so that only the browser that began it can end it."""

    provider: str
    state: str
    nonce: str
    verifier: str
    place: str
    """Where in the portal the visitor wanted to go."""

    @classmethod
    def new(cls, provider: str, place: str) -> Flow:
        """A sign-in that begins now."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(provider, state, nonce, verifier, place)

    @classmethod
    def opened(cls, seals: Seals, cookie: str, provider: str, state: str) -> Flow:
        """The sign-in that a browser's cookie and a provider's answer both speak of; raises `SignInFailed`."""
        values = seals.open(FLOW, cookie, SECONDS)
        if values is None:
            raise SignInFailed("expired", "no sign-in under way")
        found = cls(**{name: value or "" for name, value in values.items()})
        if found.provider != provider or not hmac.compare_digest(found.state.encode(), state.encode()):
            raise SignInFailed("expired", "another sign-in")
        return found

    def sealed(self, seals: Seals) -> str:
        """As the cookie holds it."""
        return seals.seal(FLOW, asdict(self))

    @property
    def challenge(self) -> str:
        """The verifier's SHA-256, as PKCE tells it (RFC 7636, S256)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


async def finish(flow: Flow, provider: Provider, answer: Mapping[str, str], database: Database) -> Identity:
    """Who has signed in, by a provider's answer to this flow, which is used up; raises `SignInFailed`."""
    async with database.transaction() as connection:
        if not await store.use_once(connection, digest(f"state {flow.state}"), SECONDS):
            raise SignInFailed("expired", "used already")
    await provider.check_answerer(answer.get("iss"))
    if "error" in answer:
        raise SignInFailed("unavailable" if answer["error"] in _AWAY else "refused", "the provider said no")
    code = answer.get("code", "")
    if not 0 < len(code) <= _LONGEST:
        raise SignInFailed("invalid", "no code")
    return await provider.identity(code, flow.verifier, flow.nonce)
