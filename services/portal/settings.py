"""Settings of the portal."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chassis.settings import HttpSettings


class PortalSettings(HttpSettings):
    """What the portal is told; it holds no secret and no database."""

    gateway_url: str
    """Base URL of the public API, as the portal reaches it."""
    gateway_seconds: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Deadline of one call to the public API, in seconds; below that of a request, so that a page can say so."""
    gateway_connections: Annotated[int, Field(ge=1, le=1000)] = 100
    """Calls to the public API at one time, at the most; others wait within their deadline."""
    body_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 16 * 1024
    """Largest request body, in bytes: the portal takes small forms only."""
