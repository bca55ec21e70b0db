"""One OpenAPI document for the whole public API: the gateway's own and those of the services, put together."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from chassis.problems import MEDIA_TYPE, Problem
from services.gateway.inward import InwardError
from services.gateway.routing import PREFIX, api_services, service_of
from services.gateway.upstream import Upstream

Document = dict[str, Any]
_FRESH_SECONDS = 60.0
_READ_SECONDS = 5.0
_PROBLEM = {"type": "object", "required": ["type", "title", "status", "code"]}
_REFUSED = {"description": "A problem document (RFC 9457)", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
_log = logging.getLogger(__name__)


class OpenApi:
    """Fetches the services' documents now and then; one that can't be had stays as it was."""

    def __init__(self, upstream: Upstream, own: Document) -> None:
        self._upstream = upstream
        self._own = own
        self._parts: dict[str, Document] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def document(self) -> Document:
        """The merged document, at most a minute old."""
        async with self._lock:
            if time.monotonic() - self._fetched > _FRESH_SECONDS:
                await asyncio.gather(*(self._fetch(service) for service in sorted(api_services())))
                if len(self._parts) == len(api_services()):
                    self._fetched = time.monotonic()
        return _refusing(merge(self._own, self._parts))

    async def _fetch(self, service: str) -> None:
        try:
            async with (
                asyncio.timeout(_READ_SECONDS),
                self._upstream.request(service, "GET", "/openapi.json", ()) as response,
            ):
                if response.status == 200:
                    self._parts[service] = json.loads(await response.read())
        except (Problem, InwardError, TimeoutError, ValueError) as error:
            _log.warning("no description of a service", extra={"service": service, "cause": type(error).__name__})


def merge(own: Document, parts: Mapping[str, Document]) -> Document:
    """The gateway's document with the paths each service answers; a component name two use differently gets a prefix."""
    paths = dict(own.get("paths", {}))
    components: dict[str, dict[str, Any]] = {k: dict(v) for k, v in own.get("components", {}).items()}
    for service, part in sorted(parts.items()):
        renamed = _disambiguated(service, part, components)
        for kind, named in renamed.get("components", {}).items():
            components.setdefault(kind, {}).update(named)
        for path, operations in renamed.get("paths", {}).items():
            if path.startswith(PREFIX) and path not in paths and _answers(service, path):
                paths[path] = operations
    return {**own, "paths": paths, "components": components}


def _refusing(document: Document) -> Document:
    # What FastAPI describes as its 422 is not what we send.
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        kept = {status: answer for status, answer in operation.get("responses", {}).items() if status != "422"}
        operation["responses"] = kept | {"4XX": _REFUSED}
    return document


def _answers(service: str, path: str) -> bool:
    return service in (service_of(path), service_of(path, f"service={service}".encode()))


def _disambiguated(service: str, part: Document, taken: Mapping[str, Mapping[str, Any]]) -> Document:
    schemas = part.get("components", {}).get("schemas", {})
    known = taken.get("schemas", {})
    clashing = {name for name, schema in schemas.items() if name in known and known[name] != schema}
    if not clashing:
        return part
    new = {name: f"{service.capitalize()}{name}" if name in clashing else name for name in schemas}
    moved: Document = _with_references(
        part, {f"#/components/schemas/{a}": f"#/components/schemas/{b}" for a, b in new.items()}
    )
    found = moved["components"]["schemas"]
    moved["components"]["schemas"] = {new[name]: schema for name, schema in found.items()}
    return moved


def _with_references(value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: new.get(v, v) if k == "$ref" else _with_references(v, new) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_references(v, new) for v in value]
    return value
