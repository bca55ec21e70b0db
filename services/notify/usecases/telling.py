"""From events to the queue: whom a fact is told to, and how people are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.consumer import Received
from chassis.database import Connection
from contracts.directory import PersonChanged
from roster import store as roster
from services.notify import domain
from services.notify.domain import Fact
from services.notify.store import messages, people
from services.notify.store.messages import Queued
from services.notify.store.people import Contact

_PERSON = "people/"


@dataclass(frozen=True, slots=True)
class _News:
    """A fact and the event it came by."""

    fact: Fact
    kind: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """How old an event may be to be told, and for how long messages are kept."""

    news: timedelta
    messages: timedelta


async def tell(connection: Connection, events: Sequence[Received], channels: Sequence[str], memory: Memory) -> None:
    """Queue what these events tell, for everybody who may know it now; of several events on a fact the last counts."""
    now = datetime.now(UTC)
    news = {one.fact.id: one for one in _news(events, now, memory.news)}
    if not news:
        return
    facts = [one.fact for one in news.values()]
    readers = await roster.guardians(connection, {fact.pupil for fact in facts}, now)
    known = await messages.people_of(connection, news)
    queued = [
        _queued(one, person, channel)
        for one in news.values()
        for person in _people(one.fact, readers.of, known.get(one.fact.id, {}), now - memory.messages)
        for channel in channels
    ]
    if queued:
        await messages.queue(connection, queued)


def _news(events: Iterable[Received], now: datetime, within: timedelta) -> Iterable[_News]:
    for event in events:
        envelope = event.envelope
        if event.value is None or not domain.is_news(envelope, now, within):
            continue
        fact = domain.fact_of(envelope.type, UUID(envelope.id), event.value)
        if fact is not None:
            yield _News(fact, envelope.type, event.value)


def _people(fact: Fact, readers: Mapping[str, frozenset[UUID]], known: dict[UUID, bool], since: datetime) -> list[UUID]:
    """Who is to have a message: who may know, and whoever has one waiting, so that none says what is no longer true.

    A withdrawal is for those alone who may have heard of what it withdraws.
    """
    may_know = readers.get(fact.scope, frozenset())
    waiting = {person for person, waits in known.items() if waits}
    if fact.mark is None and not domain.presumed_told(fact, since):
        return sorted(known.keys() & may_know | waiting)
    return sorted(may_know | waiting)


def _queued(one: _News, person: UUID, channel: str) -> Queued:
    fact = one.fact
    return Queued(
        fact=fact.id,
        person=person,
        channel=channel,
        category=fact.category,
        pupil=fact.pupil,
        event=fact.event,
        event_type=one.kind,
        event_data=one.value,
        fact_at=fact.at,
        due_at=domain.due_at(fact),
    )


async def know(connection: Connection, events: Sequence[Received]) -> None:
    """Keep how people are reached, from the documents that bring the roster up; of several of one person the last."""
    found: dict[UUID, Contact | None] = {}
    for event in events:
        key = event.envelope.key
        if key.startswith(_PERSON):
            found[UUID(key.removeprefix(_PERSON))] = None if event.value is None else _contact(event.value)
    if gone := [person for person, contact in found.items() if contact is None]:
        await people.forget(connection, gone)
    if known := [contact for contact in found.values() if contact is not None]:
        await people.put_contacts(connection, known)


def _contact(value: bytes) -> Contact | None:
    person = PersonChanged.model_validate_json(value, extra="ignore")
    return None if person.ended else Contact(person.id, person.given_name, person.email)
