"""Which service answers which path of the public API."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

PREFIX = "/v1/"
PORTAL = "portal"
AUDITED = ("directory", "grades", "feed")
"""Services that keep an audit table; `?service=` of the audit path names one."""

REPLAYING = ("grades",)
"""Services that publish their visible facts again at an operator's wish; a rebuild of the feed asks each."""

_BY_FIRST: Mapping[str, str] = {
    "me": "directory",
    "schools": "directory",
    "groups": "directory",
    "people": "directory",
    "assessments": "grades",
    "feed": "feed",
}
_OF_ME: Mapping[str, str] = {"notifications": "notify", "messages": "notify"}
_OF_PUPIL: Mapping[str, str] = {"guardians": "directory", "grades": "grades", "averages": "grades"}


def service_of(path: str, query: bytes = b"") -> str | None:
    """The service that answers a path; None for a path of the API that nobody answers."""
    if not path.startswith(PREFIX) and path != PREFIX.rstrip("/"):
        return PORTAL
    return _of(path.removeprefix(PREFIX).split("/"), query)


def _of(parts: list[str], query: bytes) -> str | None:
    match parts:
        case ["schools", _, "audit"]:
            return _audited(query)
        case ["replays", service, _]:
            return service if service in REPLAYING else None
        case ["me", what, *_]:
            return _OF_ME.get(what, _BY_FIRST["me"])
        case ["pupils", _, what, *_]:
            return _OF_PUPIL.get(what)
        case [first, *_]:
            return _BY_FIRST.get(first)
    return None


def _audited(query: bytes) -> str | None:
    asked = parse_qs(query.decode("latin-1")).get("service", [AUDITED[0]])[0]
    return asked if asked in AUDITED else None


def api_services() -> frozenset[str]:
    """Every service that has a part in the public API."""
    return frozenset((*_BY_FIRST.values(), *_OF_ME.values(), *_OF_PUPIL.values(), *AUDITED))
