"""What services answer to operators alone and describe to nobody, as their routers have it: none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from fastapi import APIRouter
from fastapi.routing import APIRoute

from chassis import replays
from services.gateway.routing import REPLAYING, api_services

_VALUES = {"{number}": "7", "{name}": "feed-7"}


def undescribed() -> Iterator[tuple[str, str, str]]:
    """Service, method and path of each, its parameters filled in."""
    for service, router in _routers():
        for route in router.routes:
            if isinstance(route, APIRoute) and not route.include_in_schema:
                path = "/".join(_VALUES.get(part, part) for part in route.path.split("/"))
                assert "{" not in path, f"say what stands for the parameter of {path}"
                yield from ((service, method, path) for method in sorted(route.methods or ()))


def _routers() -> Iterator[tuple[str, APIRouter]]:
    for service in sorted(api_services()):
        yield service, import_module(f"services.{service}.api").router
    for service in REPLAYING:
        yield service, replays.routes(service)
