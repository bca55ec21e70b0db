"""Events as they should not come: again and again, of a version from the future, before what they rest on."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from aiokafka import ConsumerRecord

from cli import demo_school as school
from cli.demo.checker import Right
from cli.demo.stage import Stage
from contracts.feed import topic_of
from tests.faults import topics
from tests.faults.databases import connect, gate
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.test_feed import serving
from tests.platform import Platform

LEA = str(school.PUPIL.id)
AGAIN = 100


def _with(record: ConsumerRecord, **headers: bytes) -> ConsumerRecord:
    """The record with other headers."""
    return ConsumerRecord(
        **{name: getattr(record, name) for name in record.__dataclass_fields__}
        | {"headers": [(name, headers.get(name, value)) for name, value in record.headers]}
    )


async def test_the_same_event_a_hundred_times_is_one(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    feed = topic_of((await serving(stage))["generation"])
    before = {name: await topics.ends(platform, name) for name in ("grades", feed)}
    desk = stage.desks["6e1"]
    assessment = await desk.assessment(stage.title("Cent fois"))
    await desk.mark(assessment, {LEA: Decimal(12)})
    await stage.expect_all("it is there")
    async with load(platform, stage) as posting:
        for places in before.values():
            records = await topics.since(platform, places)
            await topics.send_again(platform, records, AGAIN)
        await posting.more(lengths.posts)
    await judge(platform, stage)


async def test_a_version_of_the_future_is_passed_over(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    before = await topics.ends(platform, "grades")
    desk = stage.desks["6e1"]
    await desk.mark(await desk.assessment(stage.title("Avant")), {LEA: Decimal(12)})
    await stage.expect_all("it is there")
    known = next(r for r in await topics.since(platform, before) if dict(r.headers)["ce_audience"] == b"guardians")
    future = _with(known, ce_type=b"grades.grade.published.v9", ce_id=str(uuid4()).encode(), ce_sequence=b"9" * 15)
    other = ConsumerRecord(**{n: getattr(future, n) for n in future.__dataclass_fields__} | {"key": b"pupils/other"})
    await topics.send_again(platform, [other], 1)
    async with load(platform, stage) as posting:
        await posting.more(lengths.posts)
    await judge(platform, stage)
    for service in ("feed", "notify"):
        connection = await connect(platform, service)
        assert await connection.fetchval("SELECT count(*) FROM parked_keys") == 0
        await connection.close()


async def test_a_grade_that_overtakes_its_guardianship_waits_for_it(
    platform: Platform, stage: Stage, lengths: Lengths
) -> None:
    """Notify's replica is late: what it tells waits, and is told then to whom the writer knew of, and to nobody else."""
    carer, operator = stage.cast.members[school.IN_CHARGE.login], stage.cast.operator
    desk, link = stage.desks["6e1"], f"/v1/pupils/{LEA}/guardians/{school.IN_CHARGE.id}"
    try:
        async with gate(platform, "notify", "roster_documents", "INSERT") as learning:
            await operator.call("PUT", link, {"kind": "legal_guardian"})
            stage.ledger.rights.append(Right(carer.name, f"guardians:pupils/{LEA}"))
            await learning.reached()
            await desk.mark(await desk.assessment(stage.title("Trop tôt")), {LEA: Decimal(16)})
            await stage.expect(lambda: "16/20" in stage.got(school.PARENT, stage.title("Trop tôt")), "streams have it")
        await judge(platform, stage)
    finally:
        await operator.call("DELETE", link)
