"""One trace leads from the teacher's request to the families' streams."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.platform import Platform

GATEWAY_WORKERS = 2


Spans = list[dict[str, Any]]


def traces(platform: Platform, since: str) -> dict[str, Spans]:
    """What was written by trace, of traces that begin at the front door after a moment."""
    found: dict[str, Spans] = defaultdict(list)
    for line in platform.traces.read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        found[span["context"]["trace_id"]].append(span)
    return {trace: spans for trace, spans in found.items() if min(span["start_time"] for span in spans) >= since}


def names(spans: Spans) -> Counter[tuple[str, str]]:
    """How often each service wrote a span of each name."""
    return Counter((span["resource"]["attributes"]["service.name"], named(span["name"])) for span in spans)


def named(name: str) -> str:
    """A request's span is named by its method last, that of the feed's topic by its generation."""
    return "POST" if name.endswith("POST") else name.partition("-g")[0]


async def test_a_grade_is_followed_from_the_request_to_the_streams(stage: Stage, platform: Platform) -> None:
    desk = stage.desks["6e1"]
    assessment = await desk.assessment(stage.title("Suivi"))
    strangers = secrets.token_hex(16)
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    headers = {"traceparent": f"00-{strangers}-{secrets.token_hex(8)}-01"}
    await desk.mark(assessment, {str(school.PUPIL.id): Decimal(14)}, headers=headers)
    # One mark is two events, one an audience; each gateway worker gives both to its streams.
    wanted = Counter(
        {
            ("preau-gateway", "POST"): 1,
            ("preau-grades", "POST"): 1,
            ("preau-relay", "relay grades"): 2,
            ("preau-feed", "forward feed"): 2,
            ("preau-gateway", "stream"): 2 * GATEWAY_WORKERS,
        }
    )
    followed: list[Spans] = []

    async def written() -> bool:
        found = await asyncio.to_thread(traces, platform, since)
        followed[:] = [spans for spans in found.values() if wanted <= names(spans)]
        return bool(followed)

    await stage.poll(written, "the spans are written", 10)
    [spans] = followed
    # All hang together under the front door's own span: a stranger's trace is not taken up.
    assert {span["parent_id"] for span in spans} - {span["context"]["span_id"] for span in spans} == {None}
    assert {span["context"]["trace_id"] for span in spans} != {f"0x{strangers}"}
