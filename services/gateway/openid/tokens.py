"""What a provider signs: ID tokens and logout tokens, and every check on the way from text to claims."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import jwt

from services.gateway.openid.identity import SignInFailed
from services.gateway.openid.keys import Keys

LEEWAY = 30
"""Seconds that our clock and a provider's may differ."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST_TOKEN = 16 * 1024
_LONGEST_NAME = 255
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


async def checked(keys: Keys, text: object, issuer: str, client_id: str, require: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a token that this issuer signed for us and that holds now; raises `SignInFailed`."""
    if not isinstance(text, str) or len(text) > _LONGEST_TOKEN:
        raise SignInFailed("invalid", "no token")
    try:
        header = jwt.get_unverified_header(text)
        algorithm, kid = str(header.get("alg")), header.get("kid")
        key = await keys.key(algorithm, kid)
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            [algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "iat", *require]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise SignInFailed("invalid", type(error).__name__) from error
    _check_party(claims, client_id)
    return claims


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    # OpenID Connect Core 3.1.3.7, 3 to 5: a token for several must name us as the one it was made for.
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise SignInFailed("invalid", "authorized party")


def name(claims: dict[str, Any], claim: str) -> str | None:
    """A claim that names a subject or a session; None where there is none, `SignInFailed` for what can't be one."""
    found = claims.get(claim)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST_NAME or not found.isprintable():
        raise SignInFailed("invalid", claim)
    return found


def check_nonce(claims: dict[str, Any], nonce: str) -> None:
    """Refuse an ID token that was not made for this very sign-in."""
    found = claims.get("nonce")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
        raise SignInFailed("invalid", "nonce")


def check_access_token(claims: dict[str, Any], id_token: str, access_token: object) -> None:
    """Refuse an access token that did not come with this ID token, where the provider says which did."""
    expected = claims.get("at_hash")
    if expected is None or not isinstance(access_token, str):
        return
    algorithm = str(jwt.get_unverified_header(id_token)["alg"])
    digest = _HASHES.get(algorithm[-3:], hashlib.sha512)(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(expected, str) or not hmac.compare_digest(expected.encode(), half):
        raise SignInFailed("invalid", "at_hash")


def check_logout(claims: dict[str, Any]) -> None:
    """Refuse what is no logout token (Back-Channel Logout 1.0, 2.6): an ID token must never end a session."""
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
        raise SignInFailed("invalid", "no logout token")
    if claims.get("sub") is None and claims.get("sid") is None:
        raise SignInFailed("invalid", "ends nobody")
