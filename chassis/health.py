"""Health that tells the truth: named checks, and the admin endpoints that answer them beside the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Check = Callable[[], str | None]
"""Answers None when all is well, else what is wrong in a few words without personal data."""


class Health:
    """The checks of a process. Not live: restart it. Not ready: send it nothing."""

    def __init__(self) -> None:
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self.started = False

    def live(self, name: str, check: Check) -> None:
        """Add a check whose failure only a restart mends."""
        self._live[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check whose failure passes by itself or by an operator's hand."""
        self._ready[name] = check

    def not_live(self) -> dict[str, str]:
        """What fails among the liveness checks."""
        return _failing(self._live)

    def not_ready(self) -> dict[str, str]:
        """What fails among all checks."""
        if not self.started:
            return {"start": "still starting"}
        return _failing(self._live) | _failing(self._ready)


def _failing(checks: dict[str, Check]) -> dict[str, str]:
    return {name: wrong for name, check in checks.items() if (wrong := check()) is not None}


def admin_app(health: Health) -> Starlette:
    """`/health/live`, `/health/ready` (200 or 503 with what fails) and `/metrics` (Prometheus text)."""

    def answer(failing: dict[str, str]) -> Response:
        body = json.dumps({"status": "failing" if failing else "ok", "failing": failing})
        return Response(body, 503 if failing else 200, media_type="application/json")

    async def live(_: Request) -> Response:
        return answer(health.not_live())

    async def ready(_: Request) -> Response:
        return answer(health.not_ready())

    async def measured(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", measured)])
