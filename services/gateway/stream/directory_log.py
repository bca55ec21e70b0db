"""The recent changes of the directory, so that scopes read a moment ago can be brought up to now."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from uuid import UUID

from contracts.directory import person_key
from roster.facts import Facts, GroupFacts, PersonFacts, parse


@dataclass(frozen=True, slots=True)
class Change:
    """One document's new state; `document` is None once it is gone, `people` are those whose scopes it may give."""

    sequence: int
    key: str
    document: bytes | str | None
    people: tuple[UUID, ...]

    @property
    def facts(self) -> Facts | None:
        """What the document says; None once it is gone.

        Made when somebody asks: of a county that comes in, next to nothing concerns whoever is connected.
        """
        return None if self.document is None else parse(self.key, self.document)


def change(sequence: int, key: str, document: bytes | str | None) -> Change:
    """A change and whom it is about; raises pydantic's ValidationError for a document that breaks its contract."""
    facts = None if document is None else parse(key, document)
    return Change(sequence, key, document, tuple(_people(key, facts)))


def _people(key: str, facts: Facts | None) -> set[UUID]:
    if isinstance(facts, PersonFacts):
        return {facts.id, *(link.person for link in facts.guardians)}
    if isinstance(facts, GroupFacts):
        return {teaching.person for teaching in facts.teachers}
    if facts is None and key.startswith(person_key("")):
        return {UUID(key.removeprefix(person_key("")))}
    return set()


class DirectoryLog:
    """The last changes in the directory's total order, bounded; `position` is the last sequence seen."""

    def __init__(self, most: int) -> None:
        self._changes: deque[Change] = deque()
        self._most = most
        self._floor: int | None = None
        self.position = 0

    def __len__(self) -> int:
        return len(self._changes)

    def complete(self) -> None:
        """Say that the log begins with the topic itself: nothing came before its first change."""
        self._floor = 0

    def seed(self, position: int) -> None:
        """Say that all up to a position is known already: whoever reads scopes reads them at that position or later."""
        self.position = max(self.position, position)

    def append(self, one: Change) -> bool:
        """Add a change; False for a repeat of what was seen already."""
        if one.sequence <= self.position:
            return False
        if self._floor is None:
            self._floor = one.sequence - 1
        self.position = one.sequence
        self._changes.append(one)
        if len(self._changes) > self._most:
            self._floor = self._changes.popleft().sequence
        return True

    def reaches(self, position: int) -> bool:
        """Whether all that changed after a position is here."""
        return self._floor is not None and position >= self._floor

    def since(self, position: int) -> list[Change]:
        """What changed after a position, in order; raises LookupError when the log does not reach back so far."""
        if not self.reaches(position):
            raise LookupError("older than the log")
        found: list[Change] = []
        for one in reversed(self._changes):
            if one.sequence <= position:
                break
            found.append(one)
        found.reverse()
        return found
