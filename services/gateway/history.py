"""Feed's history as the stream catches up from it, over the same calls inward as everything else."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode
from uuid import UUID

from chassis.problems import Problem
from services.gateway.inward import InwardError
from services.gateway.stream.catchup import HistoryRefused, HistoryUnavailable, Page
from services.gateway.upstream import Upstream

_SECONDS = 10.0
_REFUSALS = frozenset((400, 403, 404, 410, 422))


class FeedHistory:
    """Asks feed on behalf of a person."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def page(self, person: UUID, cursor: str, limit: int) -> Page:
        """What follows a cursor; raises `HistoryRefused` or `HistoryUnavailable`."""
        target = "/v1/feed?" + urlencode({"after": cursor, "limit": limit})
        headers = [self._upstream.authorization(f"people/{person}", "feed")]
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._upstream.request("feed", "GET", target, headers) as response,
            ):
                if response.status in _REFUSALS:
                    raise HistoryRefused
                if response.status != 200:
                    raise HistoryUnavailable(f"status {response.status}")
                found = json.loads(await response.read())
        except (Problem, InwardError, TimeoutError, ValueError) as error:
            raise HistoryUnavailable(type(error).__name__) from error
        try:
            return Page(found["items"], found["cursor"], found["more"])
        except (KeyError, TypeError) as error:
            # Another version of feed, say: the stream ends and resumes elsewhere or later, the process goes on.
            raise HistoryUnavailable("feed answered something else than a page") from error
