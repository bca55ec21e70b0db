"""The verdict on a fault: what was acknowledged against what streams, histories and e-mails say, by the demo's checker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from cli.demo import mails
from cli.demo.checker import Kind, Ledger, Seen, Verdict
from cli.demo.mails import Mailbox
from cli.demo.reader import grade_key, state_of, title_of
from cli.demo.stage import Stage
from infra.local.control import ask
from tests.platform import Platform

ARRIVAL_SECONDS = 90.0
MAIL_SECONDS = 60.0
SETTLE_SECONDS = 0.5
_PAGE = 200
_MOST_PAGES = 20


async def judge(platform: Platform, stage: Stage, *, repeats: bool = False) -> None:
    """Wait until all is due and has arrived; then nothing may be lost, doubled, misdelivered, early, out of order or invented.

    `repeats`: a message may have come twice under the same Message-ID, since who sends or takes it in was killed.
    """
    due = max((due or 0.0 for write in stage.ledger.writes for due in write.due.values()), default=0.0)
    await asyncio.sleep(max(0.0, due - time.time()))
    await stage.expect_all("everything acknowledged has arrived", ARRIVAL_SECONDS)
    await stage.expect(lambda: all(r.worker for r in stage.readers.values()), "every stream is open", ARRIVAL_SECONDS)
    await _histories(stage)
    await _mails(platform, stage, repeats=repeats)
    # A double or a stray has no event of its own to wait for: the streams are listened to for a moment longer.
    await asyncio.sleep(SETTLE_SECONDS)
    _require_clean("streams", stage.verdict())


def _require_clean(what: str, verdict: Verdict) -> None:
    assert verdict.clean, (what, verdict.counts(), verdict.findings[:5])
    assert verdict.delivered > 0, what


async def _histories(stage: Stage) -> None:
    """Every reader's pages hold each grade once, as it stands now."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        seen = [one for login, reader in stage.readers.items() for one in await _pages(stage, login, reader.name)]
        verdict = Ledger(stage.ledger.writes, stage.ledger.rights, stage.ledger.ours).judge(seen, time.time())
        if verdict.clean or time.monotonic() > deadline:
            _require_clean("histories", verdict)
            return
        await asyncio.sleep(0.2)


async def _pages(stage: Stage, login: str, reader: str) -> list[Seen]:
    items: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        page = await stage.cast.members[login].api.get("/v1/feed", limit=str(_PAGE), **before)
        ours = [item for item in page["items"] if stage.ledger.ours in item["summary"]["fr"]]
        items += ours
        if not ours or not page["next"]:
            break
        before = {"before": page["next"]}
    assert max(Counter(item["id"] for item in items).values(), default=1) == 1, "an item stands twice in a history"
    return [_seen(item, reader) for item in items]


def _seen(item: dict[str, Any], reader: str) -> Seen:
    scope = f"{item['audience']}:{item['scope']}"
    return Seen(reader, time.time(), Kind.PAGE, grade_key(title_of(item), item["scope"]), scope, state_of(item))


async def mailbox_of(platform: Platform, stage: Stage) -> Mailbox:
    """The e-mails of a stage's guardians, of which none is read yet."""
    status = await asyncio.to_thread(ask, platform.home, "status")
    assert status is not None
    return await mails.opened(stage, status["mailbox"])


async def _mails(platform: Platform, stage: Stage, *, repeats: bool) -> None:
    mailbox = await mailbox_of(platform, stage)
    verdict = await mailbox.settle(stage.ledger, MAIL_SECONDS)
    if repeats:
        told = mails.without_repeats(mailbox.told)
        verdict = mails.judge(stage.ledger, told, time.time(), mailbox.addresses)
    _require_clean("e-mails", verdict)
