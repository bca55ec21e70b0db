"""The queue on a real PostgreSQL: who is told, what takes whose place, what is decided at the moment of sending."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.database import Database
from contracts.directory import LinkKind
from contracts.envelope import Audience, new_id
from contracts.feed import Category
from roster import store as roster
from services.notify.domain import Outcome, Reason, Result, Says
from services.notify.letters import Letter
from services.notify.store import messages, people
from services.notify.store.people import Preferences
from services.notify.usecases import sending
from services.notify.usecases.sending import Batch
from tests.notify.facts import GRADE, MEMORY, came, corrected, learn, published, tell, withdrawn
from tests.rosters import adult, link, pupil, received, school, uid

MOTHER, FATHER = uid("mother"), uid("father")


async def claim(database: Database, limit: int = 100, lease: float = 60) -> Batch:
    async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
        return await sending.claim(connection, limit, lease, MEMORY.messages, 60)


async def settle(database: Database, batch: Batch, result: Result = Result.SENT, why: str | None = None) -> list[Any]:
    letters = batch.letters.get("email", [])
    outcomes = [Outcome(letter.message, result, why) for letter in letters]
    async with database.connection() as connection:
        return await sending.settle(connection, letters, outcomes, batch.lease, 5)


async def said(database: Database) -> list[tuple[str, Says]]:
    """Send all that is due; what each letter said to whom."""
    batch = await claim(database)
    await settle(database, batch)
    return sorted((letter.address.partition("@")[0], letter.says) for letter in batch.letters.get("email", []))


async def rows(database: Database, person: UUID = MOTHER) -> list[tuple[str, str | None, str | None]]:
    async with database.connection() as connection:
        return [(m.state, m.says, m.reason) for m in await messages.page(connection, person, None, 50)]


async def due_now(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE messages SET due_at = now() WHERE state = 'queued'")


async def lease_over(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE messages SET leased_until = now() - interval '1 s' WHERE state = 'sending'")


async def test_each_guardian_with_the_right_is_told_once(notify: Database) -> None:
    await tell(notify, published(), published(audience=Audience.PUPILS))
    assert await said(notify) == [("father", Says.NEW), ("mother", Says.NEW)]
    assert await said(notify) == []


async def test_a_link_the_school_opened_is_told_too(notify: Database) -> None:
    async with notify.transaction() as connection:
        await learn(connection, [school(opened_to=[LinkKind.PERSON_IN_CHARGE])])
    await tell(notify, published())
    assert [name for name, _ in await said(notify)] == ["father", "mother", "nanny"]


async def test_replays_and_what_is_no_news_any_more_are_not_told(notify: Database) -> None:
    await tell(notify, came(published(), replay=True))
    await tell(notify, came(published(), time=datetime.now(UTC) - timedelta(days=4)))
    assert await said(notify) == []


async def test_what_was_not_sent_is_replaced_and_told_as_plain_news(notify: Database) -> None:
    await tell(notify, published("12"))
    await tell(notify, corrected("12", "15"))
    batch = await claim(notify)
    letter = batch.letters["email"][0]
    assert (letter.says, letter.before, letter.answers) == (Says.NEW, None, None)
    assert letter.fact.mark is not None
    assert letter.fact.mark.score == 15
    assert len(await rows(notify)) == 1


async def test_what_was_withdrawn_before_it_was_sent_is_never_told(notify: Database) -> None:
    await tell(notify, published())
    await tell(notify, withdrawn())
    assert await said(notify) == []
    assert await rows(notify) == [("cancelled", None, Reason.WITHDRAWN)]
    await tell(notify, withdrawn(grade=uid("never heard of")))
    assert len(await rows(notify)) == 1


async def test_a_correction_and_a_withdrawal_answer_what_was_told(notify: Database) -> None:
    await tell(notify, published("12"))
    first = (await claim(notify)).letters["email"]
    await tell(notify, corrected("12", "15"))
    assert await said(notify) == [], "it waits for the one being sent"
    await lease_over(notify)
    again = await claim(notify)
    assert {(x.message_id, x.says) for x in again.letters["email"]} == {(x.message_id, x.says) for x in first}
    await settle(notify, again)
    correction = await claim(notify)
    await settle(notify, correction)
    (letter,) = [x for x in correction.letters["email"] if x.address.startswith("mother")]
    (told,) = [x for x in first if x.address.startswith("mother")]
    assert (letter.says, letter.answers) == (Says.CORRECTED, told.message_id)
    assert letter.before is not None
    assert letter.before.score == 12
    await tell(notify, withdrawn())
    assert [says for _, says in await said(notify)] == [Says.WITHDRAWN] * 2
    await tell(notify, published("9"))
    assert [says for _, says in await said(notify)] == [Says.NEW] * 2


async def test_what_comes_back_to_what_was_told_is_nothing_new(notify: Database) -> None:
    await tell(notify, published("12"))
    await said(notify)
    await tell(notify, corrected("12", "15"))
    await tell(notify, corrected("15", "12"))
    assert await said(notify) == []
    assert (await rows(notify))[0] == ("cancelled", None, Reason.NOTHING_NEW)


async def test_a_refusal_for_now_gives_way_to_a_newer_event(notify: Database) -> None:
    await tell(notify, published("12"))
    leaving = await claim(notify)
    await tell(notify, corrected("12", "15"))
    await settle(notify, leaving, Result.AGAIN, "smtp-451")
    assert await rows(notify) == [("queued", None, None), ("cancelled", "new", "replaced")]
    assert [says for _, says in await said(notify)] == [Says.NEW, Says.NEW]


async def test_what_was_not_begun_is_claimed_anew_and_was_no_attempt(notify: Database) -> None:
    await tell(notify, published())
    for _ in range(3):
        await settle(notify, await claim(notify), Result.NOT_BEGUN)
    async with notify.connection() as connection:
        assert await connection.fetchval("SELECT max(attempts) FROM messages") == 0
    await withdraw_right(notify)
    assert await said(notify) == [("father", Says.NEW)]


async def test_retries_pause_ever_longer_and_end(notify: Database) -> None:
    await tell(notify, published())
    waits = []
    for _ in range(5):
        await due_now(notify)
        await settle(notify, await claim(notify), Result.AGAIN, "smtp-451")
        async with notify.connection() as connection:
            waits.append(
                await connection.fetchval("SELECT extract(epoch FROM max(due_at) - now())::float8 FROM messages")
            )
    assert await rows(notify) == [("failed", "new", "gave-up smtp-451")]
    assert 1 < waits[0] < 3 < waits[2] < 10 < waits[3] < 20


async def withdraw_right(database: Database) -> None:
    ended = [link("mother", ends=date(2026, 11, 1)), link("father")]
    async with database.transaction() as connection:
        await learn(connection, [pupil("zoé", ended)])


async def end_person(database: Database) -> None:
    async with database.transaction() as connection:
        await learn(connection, [adult("mother").model_copy(update={"ended": True})])


async def erase_person(database: Database) -> None:
    async with database.transaction() as connection:
        await learn(connection, [received(f"people/{MOTHER}", None)])


async def mute(database: Database) -> None:
    async with database.transaction() as connection:
        await people.put_preferences(connection, MOTHER, Preferences(muted=frozenset({Category.GRADES})))


async def no_mail(database: Database) -> None:
    async with database.transaction() as connection:
        await people.put_preferences(connection, MOTHER, Preferences(email_enabled=False))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (withdraw_right, Reason.NO_RIGHT),
        (end_person, Reason.ENDED),
        (erase_person, Reason.NO_ADDRESS),
        (mute, Reason.CATEGORY_OFF),
        (no_mail, Reason.CHANNEL_OFF),
    ],
)
async def test_what_changed_since_it_was_queued_counts(notify: Database, change: Any, reason: Reason) -> None:
    await tell(notify, published())
    await change(notify)
    assert await said(notify) == [("father", Says.NEW)]
    assert await rows(notify) == [("cancelled", None, reason)]


async def test_who_lost_the_right_is_not_told_what_is_no_longer_true(notify: Database) -> None:
    await tell(notify, published("12"))
    await withdraw_right(notify)
    await tell(notify, corrected("12", "15"))
    async with notify.transaction() as connection:
        await learn(connection, [pupil("zoé", [link("mother"), link("father")])])
    batch = await claim(notify)
    assert {str(x.fact.mark.score) for x in batch.letters["email"] if x.fact.mark} == {"15"}
    assert len(batch.letters["email"]) == 2


async def test_an_ended_person_is_forgotten(notify: Database) -> None:
    await mute(notify)
    await end_person(notify)
    async with notify.connection() as connection:
        assert await people.contacts(connection, [MOTHER]) == {}
        assert await people.preferences(connection, [MOTHER]) == {}


async def test_nothing_is_sent_by_a_stale_roster(notify: Database) -> None:
    await tell(notify, published())
    async with notify.connection() as connection:
        await connection.execute("UPDATE roster_state SET heard_at = now() - interval '61 s'")
        assert (await claim(notify)).taken == 0
        await connection.execute("UPDATE roster_state SET heard_at = now()")
    assert (await claim(notify)).taken == 2


async def test_nothing_is_sent_by_a_roster_that_cannot_take_a_change_in(notify: Database) -> None:
    await tell(notify, published())
    async with notify.connection() as connection:
        await roster.stop(connection, "stopped by event e: ValidationError")
        assert (await claim(notify)).taken == 0
        await roster.advance(connection, 0)
    assert (await claim(notify)).taken == 2


async def test_workers_side_by_side_take_each_message_once(notify: Database) -> None:
    await tell(notify, *(published(grade=uuid4()) for _ in range(100)))
    taken: list[int] = []

    async def worker() -> None:
        while batch := await _claimed(notify):
            taken.extend(letter.message for letter in batch)

    await asyncio.gather(*(worker() for _ in range(4)))
    assert len(taken) == len(set(taken)) == 200


async def _claimed(database: Database) -> list[Letter]:
    while True:
        try:
            batch = await claim(database, limit=7)
        except asyncpg.SerializationError:
            continue
        return batch.letters.get("email", [])


async def test_an_expired_lease_is_taken_up_under_the_same_identity_and_its_old_holder_stores_nothing(
    notify: Database,
) -> None:
    await tell(notify, published())
    lost = await claim(notify)
    assert (await claim(notify)).taken == 0
    await lease_over(notify)
    taken = await claim(notify)
    assert taken.repeats == 2
    ids = [sorted(str(x.message_id) for x in batch.letters["email"]) for batch in (lost, taken)]
    assert ids[0] == ids[1]
    assert await settle(notify, lost, Result.REFUSED, "smtp-550") == []
    assert {state for _, state, _ in await settle(notify, taken)} == {"sent"}


async def test_old_messages_are_pruned_in_batches_and_what_waits_is_kept(notify: Database) -> None:
    await tell(notify, *(published(grade=uuid4()) for _ in range(5)))
    await said(notify)
    await tell(notify, published())
    async with notify.connection() as connection:
        await connection.execute("UPDATE messages SET done_at = done_at - interval '31 days'")
        assert [await messages.prune(connection, 30, 7) for _ in range(3)] == [7, 3, 0]
        assert (await messages.depth(connection)).queued == 2


async def test_what_was_told_before_memory_begins_is_corrected_and_withdrawn_all_the_same(notify: Database) -> None:
    long_ago = UUID(
        int=(int((datetime.now(UTC) - timedelta(days=40)).timestamp() * 1000) << 80) | (7 << 76) | (2 << 62)
    )
    await tell(notify, corrected("12", "15", supersedes=long_ago), withdrawn(grade=uid("g2"), withdraws=long_ago))
    batch = await claim(notify)
    letters = {letter.fact.id: letter for letter in batch.letters["email"]}
    assert letters[GRADE].says is Says.CORRECTED
    assert letters[GRADE].before is not None
    assert letters[uid("g2")].says is Says.WITHDRAWN
    assert UUID(new_id()).version == 7
