"""The directory's documents: their keys, what they point at, the event that carries each, and what it means to close a period."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

from chassis.outbox import Outgoing, outgoing
from contracts.directory import (
    SOURCE,
    TOPIC,
    GroupChanged,
    GuardianLink,
    Membership,
    PersonChanged,
    Role,
    SchoolChanged,
    Teaching,
    group_key,
    person_key,
    school_key,
)
from contracts.envelope import Envelope, new_id

Document = SchoolChanged | GroupChanged | PersonChanged
Dated = TypeVar("Dated", Role, Membership, GuardianLink, Teaching)


def key_of(document: Document) -> str:
    """The record key of a document."""
    if isinstance(document, SchoolChanged):
        return school_key(document.uai)
    return person_key(document.id) if isinstance(document, PersonChanged) else group_key(document.id)


def parse(key: str, body: str) -> Document:
    """A stored document; its kind is told by its key."""
    if key.startswith("people/"):
        return PersonChanged.model_validate_json(body)
    return (GroupChanged if key.startswith("groups/") else SchoolChanged).model_validate_json(body)


def mentions_of(document: Document) -> list[str]:
    """What a document points at: record keys, so that it can be found from the other side.

    A person mentions schools (by role or group), groups and guardians; a group its school and its teachers. Past
    periods count too: whoever asks looks at the dates.
    """
    if isinstance(document, SchoolChanged):
        return []
    if isinstance(document, GroupChanged):
        teachers = {t.person for t in document.teachers} | set(document.form_teachers)
        return [school_key(document.uai), *sorted(person_key(t) for t in teachers)]
    found = {school_key(uai) for uai in (*(r.uai for r in document.roles), *(m.uai for m in document.memberships))}
    found.update(group_key(m.group) for m in document.memberships)
    found.update(person_key(g.person) for g in document.guardians)
    return sorted(found)


def event_of(document: Document, key: str, body: bytes | None = None) -> Outgoing:
    """The event that tells the whole document under its key; `body` is the document's JSON where it has been made before."""
    uai = None if isinstance(document, PersonChanged) else document.uai
    return outgoing(TOPIC, document, source=SOURCE, key=key, uai=uai, value=body)


def tombstone(person: PersonChanged) -> Outgoing:
    """The record that makes every copy of a person go."""
    key = key_of(person)
    envelope = Envelope(
        id=new_id(), type=PersonChanged.TYPE, source=SOURCE, subject=key, key=key, time=datetime.now(UTC)
    )
    return Outgoing(TOPIC, envelope, None)


def holds(part: Role | Membership | GuardianLink | Teaching, today: date) -> bool:
    """Whether a half-open period holds today."""
    return (part.starts is None or part.starts <= today) and (part.ends is None or today < part.ends)


def over(part: Role | Membership | GuardianLink | Teaching, today: date) -> bool:
    """Whether a period has ended."""
    return part.ends is not None and part.ends <= today


def close(parts: Sequence[Dated], today: date) -> list[Dated]:
    """End every period today: it no longer holds, what it was stays known, what had not begun goes."""
    begun = [p for p in parts if over(p, today) or p.starts is None or p.starts < today]
    return [p if over(p, today) else p.model_copy(update={"ends": today}) for p in begun]
