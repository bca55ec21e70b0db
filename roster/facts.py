"""What decisions need of a directory document, without names, addresses and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json

from contracts.directory import (
    GroupKind,
    GuardianLink,
    LinkKind,
    Membership,
    Role,
    RoleName,
    SchoolYear,
    Teaching,
    Term,
)


class _Facts(BaseModel):
    # Fields a newer directory adds are none of our business.
    model_config = ConfigDict(frozen=True, extra="ignore")


class SchoolFacts(_Facts):
    """A school: the zone of its due times, its years and terms, which links it lets read."""

    uai: str
    zone: str
    school_years: list[SchoolYear]
    terms: list[Term]
    opened_to: list[LinkKind] = []

    def reads(self, kind: LinkKind) -> bool:
        """Whether a link of this kind reads its pupil's data at this school."""
        return kind is LinkKind.LEGAL_GUARDIAN or kind in self.opened_to


class GroupFacts(_Facts):
    """A group: its school and year, who teaches it what."""

    id: UUID
    uai: str
    school_year: int
    kind: GroupKind
    teachers: list[Teaching] = []
    form_teachers: list[UUID] = []
    ended: bool = False

    def teachings(self, person: UUID, day: date) -> Iterator[Teaching]:
        """How this person teaches the group on that day."""
        return (t for t in self.teachers if t.person == person and not self.ended and holds(t.starts, t.ends, day))


class PersonFacts(_Facts):
    """A person: roles, and for a pupil groups and guardian links."""

    id: UUID
    roles: list[Role] = []
    memberships: list[Membership] = []
    guardians: list[GuardianLink] = []
    ended: bool = False

    def has_role(self, name: RoleName, uai: str, day: date) -> bool:
        """Whether the person holds the role at the school on that day."""
        return not self.ended and any(
            r.name is name and r.uai == uai and holds(r.starts, r.ends, day) for r in self.roles
        )


Facts = SchoolFacts | GroupFacts | PersonFacts

_KINDS: dict[str, type[Facts]] = {"schools": SchoolFacts, "groups": GroupFacts, "people": PersonFacts}


def parse(key: str, document: bytes | str) -> Facts | None:
    """The facts of the document under a record key; None for a kind of document this version does not know.

    Raises pydantic's ValidationError for a document that breaks its contract.
    """
    kind = _KINDS.get(key.partition("/")[0])
    return None if kind is None else kind.model_validate_json(document)


@lru_cache(maxsize=4096)
def parsed(key: str, text: str) -> Facts | None:
    """`parse` for documents that are asked for again and again: a group's and its teacher's at each mark."""
    return parse(key, text)


def pared(key: str, document: bytes) -> str | None:
    """The same facts as JSON, for a replica to keep; None for a kind of document this version does not know.

    The document is held against its contract like `parse` does, and its own text is kept: making text of the facts anew
    would cost three times as much. Raises pydantic's ValidationError.
    """
    kind = _KINDS.get(key.partition("/")[0])
    if kind is None:
        return None
    kind.model_validate_json(document)
    told = from_json(document)
    return to_json({name: told[name] for name in kind.model_fields if name in told}).decode()


def holds(starts: date | None, ends: date | None, day: date) -> bool:
    """Whether a half-open period holds on a day; None is open."""
    return (starts is None or starts <= day) and (ends is None or day < ends)
