"""The three-way merge of an import: what the source said last, what it says now, and what stands in between by hand.

Only what the source changed its mind about moves. So the same set twice changes nothing, a right that a head withdrew
stays withdrawn however often the source repeats it, and what was entered by hand stays. Where both changed the same part the
hand's word stands and the report says so; where the source withdraws a part, it ends whatever the hand did to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from uuid import UUID

from contracts.directory import GroupChanged, PersonChanged, SchoolChanged
from contracts.envelope import Contract
from services.directory.documents import Document, close, over
from services.directory.ordering import ordered

Part = TypeVar("Part", bound=Contract)


@dataclass(slots=True)
class _Merge:
    """One document's merge; `kept` lists the fields where the hand's word stood against the source's."""

    today: date
    kept: list[str]

    def parts(
        self,
        name: str,
        sides: tuple[Sequence[Part], Sequence[Part], Sequence[Part]],
        key: Callable[[Part], Hashable],
        end: Callable[[Sequence[Part], date], Sequence[Part]],
    ) -> list[Part]:
        """Merge lists part by part; `sides` are (said last, stands, said now), `end` closes what is withdrawn."""
        base, ours, theirs = (_by(side, key) for side in sides)
        merged: list[Part] = []
        for which in dict.fromkeys((*ours, *theirs)):
            b, o, t = base.get(which, []), ours.get(which, []), theirs.get(which, [])
            if t == b:
                merged += o
            elif not t:
                merged += end(o, self.today)
            elif o in (b, t) or (not b and not _any_open(o, self.today)):
                merged += t
            else:
                merged += o
                self.kept.append(name)
        return ordered(merged)

    def value(self, name: str, base: object, ours: object, theirs: object) -> object:
        """Merge one value."""
        if theirs in (base, ours):
            return ours
        if ours == base:
            return theirs
        self.kept.append(name)
        return ours


def _by(parts: Sequence[Part], key: Callable[[Part], Hashable]) -> dict[Hashable, list[Part]]:
    found: dict[Hashable, list[Part]] = {}
    for part in parts:
        found.setdefault(key(part), []).append(part)
    return found


def _any_open(parts: Sequence[Contract], today: date) -> bool:
    """Whether any of the parts has not ended; one without dates never has."""
    return any(not hasattr(p, "ends") or not over(p, today) for p in parts)  # type: ignore[arg-type]


def merge(base: Document | None, ours: Document, theirs: Document, today: date) -> tuple[Document, list[str]]:
    """The document that results, and the fields where the hand's word was kept against the source's.

    `base` is what the source said last time, None when it never spoke of this entity.
    """
    work = _Merge(today, [])
    update: dict[str, object] = {}
    for name in type(ours).model_fields:
        mine, now = getattr(ours, name), getattr(theirs, name)
        if name in _LISTS:
            key, end = _LISTS[name]
            before = getattr(base, name) if base is not None else []
            update[name] = work.parts(name, (before, mine, now), key, end)
        elif name == "form_teachers":
            before = set(getattr(base, name) if base is not None else ())
            update[name] = sorted((set(mine) - (before - set(now))) | (set(now) - before))
        else:
            before = getattr(base, name) if base is not None else _NEVER.get(name)
            update[name] = work.value(name, before, mine, now)
    return ours.model_copy(update=update), work.kept


def _drop_dated(parts: Sequence[Part], today: date) -> Sequence[Part]:
    """Years and terms that are over stay known, for grades name them."""
    return [p for p in parts if over(p, today)]  # type: ignore[arg-type]


_LISTS: dict[str, tuple[Callable[..., Hashable], Callable[..., Sequence[Contract]]]] = {
    "roles": (lambda p: (p.name, p.uai), close),
    "memberships": (lambda p: p.group, close),
    "guardians": (lambda p: p.person, close),
    "teachers": (lambda p: (p.person, p.subject.code if p.subject else None), close),
    "school_years": (lambda p: p.year, _drop_dated),
    "terms": (lambda p: p.id, _drop_dated),
}
_NEVER: dict[str, object] = {"ended": False, "opened_to": []}
"""Fields that no source states: its silence is its word."""


def carry_over(base: PersonChanged, theirs: PersonChanged, uais: frozenset[str]) -> PersonChanged:
    """What the source now states of a person, with what it said before of schools that this set does not hold."""
    return theirs.model_copy(
        update={
            "roles": ordered([*theirs.roles, *(r for r in base.roles if r.uai not in uais)]),
            "memberships": ordered([*theirs.memberships, *(m for m in base.memberships if m.uai not in uais)]),
        }
    )


def keep_links(base: PersonChanged, theirs: PersonChanged, unread: Collection[UUID]) -> PersonChanged:
    """A pupil's statement with the links to adults whose own record, where a link may stand, could not be read."""
    said = {link.person for link in theirs.guardians}
    kept = [link for link in base.guardians if link.person in unread and link.person not in said]
    return theirs.model_copy(update={"guardians": ordered([*theirs.guardians, *kept])}) if kept else theirs


def fill_gaps(base: Document, theirs: Document) -> Document:
    """A statement some of which could not be read: what it misses is taken from what was said before."""
    update: dict[str, object] = {}
    for name in type(theirs).model_fields.keys() & _LISTS.keys():
        update[name] = _filled(getattr(base, name), getattr(theirs, name), _LISTS[name][0])
    if isinstance(theirs, PersonChanged) and isinstance(base, PersonChanged):
        update["birth_date"] = theirs.birth_date or base.birth_date
    if isinstance(theirs, GroupChanged) and isinstance(base, GroupChanged):
        update["form_teachers"] = sorted({*theirs.form_teachers, *base.form_teachers})
    return theirs.model_copy(update=update)


def _filled(base: Sequence[Part], theirs: Sequence[Part], key: Callable[[Part], Hashable]) -> list[Part]:
    said = {key(part) for part in theirs}
    return ordered([*theirs, *(part for part in base if key(part) not in said)])


def detached(base: Document, uais: frozenset[str]) -> Document:
    """What a source states of an entity that its full set of these schools no longer names.

    A group has ended. A person keeps what they are at other schools; family links end with the last school.
    """
    if isinstance(base, GroupChanged):
        return base.model_copy(update={"ended": True})
    if isinstance(base, SchoolChanged):
        return base
    roles = [r for r in base.roles if r.uai not in uais]
    memberships = [m for m in base.memberships if m.uai not in uais]
    links = base.guardians if roles or memberships else []
    return base.model_copy(update={"roles": roles, "memberships": memberships, "guardians": links})
