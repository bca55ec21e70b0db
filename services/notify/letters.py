"""A letter: all that a channel needs to tell one person one thing, gathered at the moment of sending."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from contracts.grades import Mark
from services.notify.domain import Fact, Outcome, Says


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to be worded and sent: to whom, in which language, of which fact, and what it says of it."""

    message: int
    message_id: UUID
    answers: UUID | None
    """The message of the same thread that was sent before it."""
    address: str
    language: str
    child: str | None
    """The pupil's given name, where it is known."""
    says: Says
    fact: Fact
    before: Mark | None
    """What a correction replaces."""
    attempts: int


Send: TypeAlias = Callable[[Sequence[Letter]], Awaitable[list[Outcome]]]
"""A channel: sends a batch and says what became of each; it never raises for one letter's sake."""
