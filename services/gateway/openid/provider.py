"""One provider: what it publishes of itself, codes for tokens, and whom those name."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from services.gateway.openid import tokens
from services.gateway.openid.http import ProviderHttp
from services.gateway.openid.identity import Identity, SignInFailed
from services.gateway.openid.keys import Keys
from services.gateway.settings import ProviderSettings, safe_url

_WELL_KNOWN = "/.well-known/openid-configuration"
_KEPT_SECONDS = 3600.0
_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a provider's discovery document."""

    authorization: str
    token: str
    keys: str
    end_session: str | None
    names_itself: bool
    """Whether its answers carry `iss` (RFC 9207)."""
    secret_in_form: bool
    """Whether it takes a client's secret in the form alone."""


class Provider:
    """A provider as this process knows it."""

    def __init__(self, settings: ProviderSettings, http: ProviderHttp, public_url: str) -> None:
        self.settings = settings
        self.callback = f"{public_url}/v1/sign-in/{settings.name}/callback"
        self._http = http
        self._metadata: Metadata | None = None
        self._until = float("-inf")
        self._lock = asyncio.Lock()
        self._keys = Keys(self._fetch_keys)

    async def metadata(self) -> Metadata:
        """What the provider publishes, at most an hour old; raises `SignInFailed` where it can't be had."""
        async with self._lock:
            if time.monotonic() > self._until:
                # One that is away is asked now and then, not once a visitor.
                self._metadata, self._until = None, time.monotonic() + _RETRY_SECONDS
                document = await self._http.get(self.settings.issuer.rstrip("/") + _WELL_KNOWN)
                self._metadata = _metadata(document, self.settings.issuer)
                self._until = time.monotonic() + _KEPT_SECONDS
        if self._metadata is None:
            raise SignInFailed("unavailable", "was away a moment ago")
        return self._metadata

    async def _fetch_keys(self) -> dict[str, Any]:
        return await self._http.get((await self.metadata()).keys)

    async def authorization(self, state: str, nonce: str, challenge: str) -> str:
        """Where the browser goes to sign in."""
        asked = {
            "response_type": "code", "client_id": self.settings.client_id, "redirect_uri": self.callback,
            "scope": " ".join(self.settings.scopes), "state": state, "nonce": nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return _with_query((await self.metadata()).authorization, asked)

    async def check_answerer(self, issuer: str | None) -> None:
        """Refuse an answer that another provider gave, or that does not say whose it is where this one always does."""
        if issuer is None and not (await self.metadata()).names_itself:
            return
        if issuer != self.settings.issuer:
            raise SignInFailed("invalid", "answered by another")

    async def identity(self, code: str, verifier: str, nonce: str) -> Identity:
        """Who has signed in, by the code that the browser brought; raises `SignInFailed`."""
        answer = await self._exchange(code, verifier)
        token = answer.get("id_token")
        claims = await self._checked(token, "exp", "sub")
        tokens.check_nonce(claims, nonce)
        tokens.check_access_token(claims, str(token), answer.get("access_token"))
        subject = tokens.name(claims, "sub")
        assert subject is not None
        return Identity(self.settings.name, self.settings.issuer, subject, tokens.name(claims, "sid"), str(token))

    async def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        metadata, known = await self.metadata(), self.settings
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.callback, "code_verifier": verifier,
        }  # fmt: skip
        headers = {}
        if known.client_secret is None:
            form["client_id"] = known.client_id
        elif metadata.secret_in_form:
            form |= {"client_id": known.client_id, "client_secret": known.client_secret.get_secret_value()}
        else:
            pair = f"{quote(known.client_id, '')}:{quote(known.client_secret.get_secret_value(), '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return await self._http.post(metadata.token, form, headers)

    async def logout(self, token: str) -> dict[str, Any]:
        """The claims of a logout token; raises `SignInFailed`."""
        claims = await self._checked(token, "jti", "exp")
        tokens.check_logout(claims)
        return claims

    async def _checked(self, token: object, *require: str) -> dict[str, Any]:
        return await tokens.checked(self._keys, token, self.settings.issuer, self.settings.client_id, require)

    async def end_session(self, id_token: str | None, back: str) -> str | None:
        """Where the browser ends its session at the provider too; None where the provider offers no such place."""
        place = (await self.metadata()).end_session
        if place is None:
            return None
        told = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        return _with_query(place, told | ({"id_token_hint": id_token} if id_token else {}))


def _metadata(document: dict[str, Any], issuer: str) -> Metadata:
    if document.get("issuer") != issuer:
        raise SignInFailed("invalid", "another issuer")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        _address(document, "authorization_endpoint"),
        _address(document, "token_endpoint"),
        _address(document, "jwks_uri"),
        _address(document, "end_session_endpoint") if document.get("end_session_endpoint") else None,
        document.get("authorization_response_iss_parameter_supported") is True,
        isinstance(methods, list) and "client_secret_basic" not in methods,
    )


def _address(document: dict[str, Any], field: str) -> str:
    found = document.get(field)
    try:
        if isinstance(found, str) and safe_url(found):
            return found
    except ValueError:
        pass
    raise SignInFailed("invalid", field)


def _with_query(place: str, parameters: dict[str, str]) -> str:
    return f"{place}{'&' if '?' in place else '?'}{urlencode(parameters)}"
