"""Rules of the front door: names of accounts, secrets of sessions and tokens, addresses, requests across sites. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import UUID

COOKIE = "__Host-preau_session"
DEVICE_COOKIE = "__Host-preau_device"
IDENTITY_COOKIE = "__Host-preau_identity"
FLOW_COOKIE = "__Host-preau_sign_in"
TOKEN_PREFIX = "preau_"  # noqa: S105 - what every token begins with is no secret
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET_BYTES = 32
_IPV6_NETWORK = 64


class Kind(StrEnum):
    """A session belongs to a browser, a token to a program."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a kind


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in; `person` is None for an operator of the platform."""

    id: UUID
    login: str
    person: UUID | None

    @property
    def operator(self) -> bool:
        """Whether this account runs the platform."""
        return self.person is None

    @property
    def subject(self) -> str:
        """As services know who calls: `people/<id>` or `operators/<login>`."""
        return f"people/{self.person}" if self.person else f"operators/{self.login}"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose request it is, and the session or token that says so."""

    account: Account
    credential: UUID
    kind: Kind
    lasts: float
    """For how many seconds more it holds, by the database's clock at the moment it was looked up."""


def fold(login: str) -> str:
    """What makes two logins the same account."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", login).casefold()).strip()


def new_secret(kind: Kind) -> str:
    """A fresh secret; a token says what it is, so that leaked ones can be searched for."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return TOKEN_PREFIX + secret if kind is Kind.TOKEN else secret


def digest(secret: str) -> bytes:
    """What is kept of a secret. It has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def counted(what: str, value: str) -> bytes:
    """The name under which attempts are counted; tells neither login nor address."""
    return hashlib.sha256(f"{what}\0{value}".encode()).digest()


@lru_cache(10_000)
def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 household has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))
    return str(parsed)


def presented(headers: Mapping[bytes, bytes]) -> tuple[Kind, str] | None:
    """The secret a request presents: a bearer token, else the session cookie; None when it presents none."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return (Kind.TOKEN, token.strip()) if token.strip() else None
    session = cookies(headers).get(COOKIE)
    return (Kind.SESSION, session) if session else None


def cookies(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The cookies of a request; of two of one name the first counts."""
    found: dict[str, str] = {}
    for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, value)
    return found


def same_site(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a write that rests on a cookie comes from our own pages; a request that tells neither way does not."""
    origin = headers.get(b"origin")
    if origin is not None:
        return _host(origin.decode("latin-1")) == _authority(headers.get(b"host", b"").decode("latin-1"))
    return headers.get(b"sec-fetch-site") in (b"same-origin", b"none")


def _host(origin: str) -> str | None:
    parts = urlsplit(origin)
    return _authority(parts.netloc) if parts.scheme in ("http", "https") and parts.netloc else None


def _authority(netloc: str) -> str:
    # The default ports, which browsers leave out of Origin and some proxies add to Host.
    return netloc.lower().removesuffix(":443").removesuffix(":80")
