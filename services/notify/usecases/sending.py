"""From the queue to letters: claimed, checked against rights and wishes in the claim's own snapshot, settled."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from chassis.database import Connection
from contracts.grades import Mark
from roster import store as roster
from roster.store import Readers
from services.notify import domain
from services.notify.domain import Fact, Outcome, Reason, Recipient, Says
from services.notify.letters import Letter
from services.notify.store import messages, people
from services.notify.store.messages import Claimed, Told
from services.notify.store.people import Contact, Preferences

_DEFAULT = Preferences()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one claim took: letters by channel to be sent, and how many messages were cancelled, by reason."""

    lease: UUID
    letters: dict[str, list[Letter]] = field(default_factory=dict)
    cancelled: list[tuple[str, Reason]] = field(default_factory=list)
    repeats: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True)
class _Around:
    """What decides on a batch, all of one snapshot."""

    readers: Readers
    contacts: Mapping[UUID, Contact]
    preferences: Mapping[UUID, Preferences]
    told: Mapping[messages.Thread, Told]
    remembered_since: datetime


async def claim(
    connection: Connection, limit: int, lease_seconds: float, kept: timedelta, silence_seconds: float
) -> Batch:
    """Claim what is due and decide on it; the caller's transaction is of one snapshot (repeatable read).

    Nothing is claimed while the directory has not been heard of for so long, or can't be read: rights are not known then.
    """
    batch = Batch(uuid4())
    if (await roster.standing(connection)).doubt(silence_seconds):
        return batch
    claimed = await messages.claim(connection, limit, batch.lease, lease_seconds)
    if not claimed:
        return batch
    around = await _around(connection, claimed, kept)
    ready: list[tuple[str, Letter]] = []
    hindered: list[tuple[int, Reason]] = []
    for one in claimed:
        decided = _decide(one, around)
        if isinstance(decided, Letter):
            ready.append((one.channel, decided))
        else:
            hindered.append((one.id, decided))
            batch.cancelled.append((one.channel, decided))
    await messages.cancel(connection, hindered)
    await messages.address(connection, [(letter.message, letter.says, letter.message_id) for _, letter in ready])
    for channel, letter in ready:
        batch.letters.setdefault(channel, []).append(letter)
    sent = {letter.message for _, letter in ready}
    repeats = sum(1 for one in claimed if one.repeated and one.id in sent)
    return Batch(batch.lease, batch.letters, batch.cancelled, repeats, len(claimed))


async def _around(connection: Connection, claimed: Sequence[Claimed], kept: timedelta) -> _Around:
    now = datetime.now(UTC)
    recipients = {one.person for one in claimed}
    return _Around(
        readers=await roster.guardians(connection, {one.pupil for one in claimed}, now),
        contacts=await people.contacts(connection, recipients | {one.pupil for one in claimed}),
        preferences=await people.preferences(connection, recipients),
        told=await messages.told(connection, (one.thread for one in claimed)),
        remembered_since=now - kept,
    )


def _decide(one: Claimed, around: _Around) -> Letter | Reason:
    fact = _fact(one)
    contact = around.contacts.get(one.person)
    chosen = around.preferences.get(one.person, _DEFAULT)
    hindrance = domain.hindrance(_recipient(one, fact, contact, chosen, around.readers))
    if hindrance is not None:
        return hindrance
    last = around.told.get(one.thread)
    told = _fact(last) if last is not None else None
    says = domain.to_say(told, fact, presumed=domain.presumed_told(fact, around.remembered_since))
    if isinstance(says, Reason):
        return says
    assert contact is not None
    assert contact.email is not None
    child = around.contacts.get(one.pupil)
    return Letter(
        message=one.id,
        message_id=domain.message_id(one.fact, one.person, one.channel, one.event),
        answers=last.message_id if last is not None else None,
        address=contact.email,
        language=chosen.language,
        child=child.given_name if child else None,
        says=says,
        fact=fact,
        before=_before(says, told, fact),
        attempts=one.attempts,
    )


def _fact(of: Claimed | Told) -> Fact:
    found = domain.fact_of(of.event_type, of.event, of.event_data)
    assert found is not None, "only what is told is queued"
    return found


def _recipient(one: Claimed, fact: Fact, contact: Contact | None, chosen: Preferences, readers: Readers) -> Recipient:
    return Recipient(
        has_right=one.person in readers.of.get(fact.scope, frozenset()),
        ended=one.person in readers.ended,
        address=contact.email if contact else None,
        channel_on=chosen.email_enabled,
        category_on=fact.category not in chosen.muted,
    )


def _before(says: Says, told: Fact | None, fact: Fact) -> Mark | None:
    if says is not Says.CORRECTED:
        return None
    return told.mark if told is not None else fact.before


async def settle(
    connection: Connection, letters: Sequence[Letter], outcomes: Sequence[Outcome], lease: UUID, attempts: int
) -> list[tuple[int, str, float]]:
    """Store what became of a batch; returns id, state now and seconds since the fact of each."""
    tried = {letter.message: letter.attempts for letter in letters}
    steps = [
        domain.after(outcome, tried[outcome.message], attempts, random.random())  # noqa: S311 - spreads retries
        for outcome in outcomes
    ]
    return await messages.settle(connection, steps, lease)
