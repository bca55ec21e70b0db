"""One trace leads from the teacher's request to the families' streams."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from decimal import Decimal
from typing import Any

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.platform import Platform

GATEWAY_WORKERS = 2


def spans_of(platform: Platform, trace: str) -> list[dict[str, Any]]:
    lines = platform.traces.read_text(encoding="utf-8").splitlines()
    return [span for line in lines if trace in line and (span := json.loads(line))["context"]["trace_id"][2:] == trace]


def names(spans: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How often each service wrote a span of each name."""
    return Counter((span["resource"]["attributes"]["service.name"], named(span["name"])) for span in spans)


def named(name: str) -> str:
    """A request's span is named by its method last, that of the feed's topic by its generation."""
    return "POST" if name.endswith("POST") else name.partition("-g")[0]


async def test_a_grade_is_followed_from_the_request_to_the_streams(stage: Stage, platform: Platform) -> None:
    desk = stage.desks["6e1"]
    assessment = await desk.assessment(stage.title("Suivi"))
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
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

    async def written() -> bool:
        return wanted <= names(await asyncio.to_thread(spans_of, platform, trace))

    await stage.poll(written, "the spans are written", 10)
    spans = await asyncio.to_thread(spans_of, platform, trace)
    assert {span["parent_id"] for span in spans} - {span["context"]["span_id"] for span in spans} == {f"0x{parent}"}
