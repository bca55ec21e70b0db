"""Who calls: the gateway's short-lived internal tokens (JWT, Ed25519), signed there and checked in every service."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from starlette.requests import Request

from chassis.problems import Problem

LIFETIME = 60
"""Seconds an internal token is good for."""
_ALGORITHM = "EdDSA"
_ISSUER = "preau-gateway"
_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from: a person of the directory, or an operator of the platform; never both."""

    person: UUID | None = None
    operator: str | None = None

    @property
    def subject(self) -> str:
        """`people/<id>` or `operators/<login>`, as in the token and in audit rows."""
        return f"people/{self.person}" if self.person else f"operators/{self.operator}"


class TokenSigner:
    """Signs internal tokens; the gateway holds the only private key."""

    def __init__(self, private_pem: bytes) -> None:
        key = load_pem_private_key(private_pem, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the token key is not Ed25519")
        self._key = key

    def sign(self, subject: str, audience: str) -> str:
        """A token that says to one service on whose behalf the gateway calls."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": subject, "aud": audience, "iat": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self._key, _ALGORITHM)


class TokenVerifier:
    """Checks internal tokens for one service; what was checked is remembered until it expires."""

    def __init__(self, public_pem: bytes, audience: str) -> None:
        key = load_pem_public_key(public_pem)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("the token key is not Ed25519")
        self._key = key
        self._audience = audience
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def verify(self, token: str) -> Caller:
        """The caller a token names; raises a 401 `Problem` for one that is not the gateway's, not ours, or over."""
        known = self._known.get(token)
        if known is not None and known[0] > time.time():
            return known[1]
        try:
            claims = jwt.decode(
                token,
                self._key,
                [_ALGORITHM],
                audience=self._audience,
                issuer=_ISSUER,
                leeway=5,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            caller = _caller(claims["sub"])
        except (jwt.InvalidTokenError, ValueError) as error:
            raise unauthenticated() from error
        self._known[token] = (float(claims["exp"]), caller)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return caller


def _caller(subject: str) -> Caller:
    kind, _, name = subject.partition("/")
    if kind == "people":
        return Caller(person=UUID(name))
    if kind == "operators" and name:
        return Caller(operator=name)
    raise ValueError("neither person nor operator")


def unauthenticated() -> Problem:
    """The answer to who has not said who they are."""
    return Problem(401, "unauthenticated", "Sign in first", headers={"WWW-Authenticate": "Bearer"})


async def caller(request: Request) -> Caller:
    """FastAPI dependency: who calls; the app's `state.verifier` is a `TokenVerifier`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthenticated()
    verifier: TokenVerifier = request.app.state.verifier
    found = verifier.verify(token)
    request.state.caller = found
    return found
