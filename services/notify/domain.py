"""What a person is told of a fact, and when it may leave: from what was told and what is true now. Pure.

A thread is one fact, one person, one channel. It holds at most one message that has not left, and a newer event takes
its place. What the message says is decided when it leaves, by comparing what the thread has told with what is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from contracts.envelope import Audience, Envelope
from contracts.feed import Category, pupil_scope
from contracts.grades import AssessmentRef, GradeCorrected, GradePublished, GradeWithdrawn, Mark

GradeEvent = GradePublished | GradeCorrected | GradeWithdrawn
CONSUMED: dict[str, type[GradePublished] | type[GradeCorrected] | type[GradeWithdrawn]] = {
    kind.TYPE: kind for kind in (GradePublished, GradeCorrected, GradeWithdrawn)
}
"""The event types that are told; a type this version does not know is not."""

_MESSAGES = UUID("0c3f1a5e-7d43-5b0e-9a53-5f1c6f1f5f02")


class Says(StrEnum):
    """What a message tells of its fact."""

    NEW = "new"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


class Reason(StrEnum):
    """Why a message was not sent."""

    NO_RIGHT = "no-right"
    ENDED = "person-ended"
    NO_ADDRESS = "no-address"
    CHANNEL_OFF = "channel-off"
    CATEGORY_OFF = "category-off"
    WITHDRAWN = "withdrawn-before-told"
    NOTHING_NEW = "nothing-new"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Fact:
    """One event as it is told: whose, in which category, what stands now (None: withdrawn)."""

    id: UUID
    event: UUID
    category: Category
    pupil: UUID
    uai: str
    at: datetime
    assessment: AssessmentRef
    mark: Mark | None
    before: Mark | None
    """What the audience was told before, as the event says."""
    follows: UUID | None
    """The event that told it."""

    @property
    def scope(self) -> str:
        """The right it takes to be told: `guardians:pupils/<id>`."""
        return f"{Audience.GUARDIANS}:{pupil_scope(self.pupil)}"

    def says_the_same(self, other: Fact) -> bool:
        """Whether a reader of the one learns nothing from the other."""
        if self.mark is None or other.mark is None:
            return self.mark is other.mark
        return self.mark == other.mark and _shown(self.assessment) == _shown(other.assessment)


def _shown(assessment: AssessmentRef) -> tuple[object, ...]:
    return (
        assessment.title, assessment.subject.label, assessment.out_of, assessment.coefficient, assessment.optional,
        assessment.bonus,
    )  # fmt: skip


def fact_of(kind: str, event: UUID, value: bytes) -> Fact | None:
    """The fact an event tells guardians; None where it is for another audience or of a type that is not told.

    Raises pydantic's ValidationError for data that break the contract. Fields this version does not know are passed over.
    """
    model = CONSUMED.get(kind)
    if model is None:
        return None
    told = model.model_validate_json(value, extra="ignore")
    if told.audience is not Audience.GUARDIANS:
        return None
    return Fact(
        id=told.grade,
        event=event,
        category=Category.GRADES,
        pupil=told.pupil,
        uai=told.uai,
        at=told.at,
        assessment=told.assessment,
        mark=_standing(told),
        before=told.old if isinstance(told, GradeCorrected) else None,
        follows=_follows(told),
    )


def _standing(told: GradeEvent) -> Mark | None:
    if isinstance(told, GradePublished):
        return told.mark
    return told.new if isinstance(told, GradeCorrected) else None


def _follows(told: GradeEvent) -> UUID | None:
    if isinstance(told, GradeCorrected):
        return told.supersedes
    return told.withdraws if isinstance(told, GradeWithdrawn) else None


def is_news(envelope: Envelope, now: datetime, within: timedelta) -> bool:
    """Whether an event is told at all: a replay is not, nor what is older than people take for news."""
    return not envelope.replay and now - envelope.time <= within


def due_at(fact: Fact) -> datetime:
    """When a message may leave: as soon as its fact is true."""
    return fact.at


def presumed_told(fact: Fact, remembered_since: datetime) -> bool:
    """Whether what the event replaces was told so long ago that its message is no longer kept.

    Event ids are UUIDs of version 7, whose first 48 bits are milliseconds (RFC 9562).
    """
    if fact.follows is None or fact.follows.version != 7:
        return False
    return (fact.follows.int >> 80) / 1000 < remembered_since.timestamp()


def to_say(told: Fact | None, fact: Fact, *, presumed: bool = False) -> Says | Reason:
    """What a message that leaves now says, or why there is nothing to say; `told` is what the last that left said."""
    heard = presumed if told is None else told.mark is not None
    if not heard:
        return Reason.WITHDRAWN if fact.mark is None else Says.NEW
    if told is not None and told.says_the_same(fact):
        return Reason.NOTHING_NEW
    return Says.WITHDRAWN if fact.mark is None else Says.CORRECTED


@dataclass(frozen=True, slots=True)
class Recipient:
    """What is known of a person at the moment of sending."""

    has_right: bool
    ended: bool
    address: str | None
    channel_on: bool
    category_on: bool


def hindrance(to: Recipient) -> Reason | None:
    """Why a person is not told; None where they are."""
    hindrances = (
        (to.ended, Reason.ENDED),
        (not to.has_right, Reason.NO_RIGHT),
        (not to.channel_on, Reason.CHANNEL_OFF),
        (not to.category_on, Reason.CATEGORY_OFF),
        (not to.address, Reason.NO_ADDRESS),
    )
    return next((reason for holds, reason in hindrances if holds), None)


def message_id(fact: UUID, person: UUID, channel: str, event: UUID) -> UUID:
    """The identity of the message that tells an event of a fact to a person: the same however often it is sent."""
    return uuid5(_MESSAGES, f"{fact}/{person}/{channel}/{event}")


FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 3600.0


def pause(attempts: int, chance: float) -> float:
    """Seconds until the next attempt: doubled each time up to an hour, give or take a fifth; `chance` is from 0 to 1."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 30)) * (0.8 + 0.4 * chance)


class State(StrEnum):
    """Where a message stands."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Result(StrEnum):
    """How an attempt to send ended: accepted, refused for good, certainly not accepted, who knows, or it was not begun."""

    SENT = "sent"
    REFUSED = "refused"
    AGAIN = "again"
    UNKNOWN = "unknown"
    NOT_BEGUN = "not-begun"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message; `why` is a code such as `smtp-550`, never words of the server."""

    message: int
    result: Result
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What an outcome makes of its message: its state, why, in how many seconds it may be tried again, what it was."""

    message: int
    state: State
    reason: str | None = None
    seconds: float = 0.0
    attempt: bool = True
    """Whether it was an attempt."""


def after(outcome: Outcome, attempts: int, most: int, chance: float) -> Step:
    """What follows from an outcome after so many attempts of at most `most`.

    What may have been accepted goes on counting as being sent: nothing takes its place or overtakes it.
    """
    if outcome.result is Result.SENT:
        return Step(outcome.message, State.SENT)
    if outcome.result is Result.NOT_BEGUN:
        return Step(outcome.message, State.QUEUED, attempt=False)
    if outcome.result is Result.REFUSED:
        return Step(outcome.message, State.FAILED, outcome.why)
    if attempts >= most:
        return Step(outcome.message, State.FAILED, f"gave-up {outcome.why}")
    state = State.QUEUED if outcome.result is Result.AGAIN else State.SENDING
    return Step(outcome.message, state, outcome.why, pause(attempts, chance))
