"""A change of the directory that can't be taken in: nothing is sent on rights that it may take away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.faults.databases import connect, refusing
from tests.faults.judging import judge, mailbox_of
from tests.faults.processes import wrong_with
from tests.platform import Platform

LEA = str(school.PUPIL.id)
LINK = f"/v1/pupils/{LEA}/guardians/{school.SEPARATED.id}"
RAISED = "P0001"
STOPPED = ("feed", "grades", "notify")
PARTS = ("feed-1", "feed-2", "grades-1", "grades-2", "notify")
_HELD = "SELECT count(*) FROM messages WHERE state = 'queued' AND pupil = $1 AND due_at < clock_timestamp() - interval '2 s'"


async def test_nothing_is_sent_on_rights_that_a_change_may_have_taken_away(platform: Platform, stage: Stage) -> None:
    member, desk, operator = stage.cast.members[school.SEPARATED.login], stage.desks["6e1"], stage.cast.operator
    links = (await operator.get(f"/v1/pupils/{LEA}/guardians"))["guardians"]
    kept = next(link for link in links if link["person"] == member.id)
    mailbox = await mailbox_of(platform, stage)
    await desk.mark(await desk.assessment(stage.title("Avant")), {LEA: Decimal(12)})
    await mailbox.settle(stage.ledger, 30)
    before = len(mailbox.told)
    assert member.name in {one.reader for one in mailbox.told}
    notify = await connect(platform, "notify")

    async def all_stopped() -> bool:
        wrong = await wrong_with(platform, *PARTS)
        return all(wrong[part].get("roster", "").startswith("stopped by event ") for part in PARTS)

    async def is_held() -> bool:
        return bool(await notify.fetchval(_HELD, school.PUPIL.id))

    async def all_ready() -> bool:
        return not any((await wrong_with(platform, *PARTS)).values())

    try:
        async with AsyncExitStack() as stack:
            for service in STOPPED:
                refusal = refusing(platform, service, "roster_documents", RAISED, f"NEW.key = 'people/{LEA}'")
                await stack.enter_async_context(refusal)
            await operator.call("DELETE", LINK)
            stage.close_right(member.name, f"guardians:pupils/{LEA}")
            await stage.poll(all_stopped, "every process tells", 10)
            # The gateway's own replica goes on, so streams do too.
            await desk.mark(await desk.assessment(stage.title("Sans lui")), {LEA: Decimal(3)})
            await stage.expect_all("who has the right sees it")
            await stage.poll(is_held, "its e-mails are due and wait", 20)
            page = await asyncio.to_thread(platform.call, "GET", "/v1/feed", by=school.SEPARATED.login)
            assert page.status == 503
            await mailbox.read()
            assert len(mailbox.told) == before
            assert [await _parked(platform, service) for service in STOPPED] == [0, 0, 0]
        await stage.poll(all_ready, "every process goes on", 30)
        assert not (await member.api.get("/v1/feed"))["items"]
        await judge(platform, stage)
    finally:
        await notify.close()
        await operator.call("PUT", LINK, {name: kept[name] for name in ("kind", "starts", "ends")})


async def _parked(platform: Platform, service: str) -> int:
    connection = await connect(platform, service)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM parked_keys"))
    finally:
        await connection.close()
