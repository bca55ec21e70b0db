"""The checker: from what was acknowledged, who may see it and what each reader got, it counts every broken promise.

Pure. A grade is a `key`; what it shows at a time is a `state` (text; None: it no longer stands). Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

WITHDRAWAL_SECONDS = 1.0
"""How long after its acknowledged withdrawal a right may still be served."""


class Fault(StrEnum):
    """A broken promise."""

    LOST = "lost"
    DOUBLED = "doubled"
    MISDELIVERED = "misdelivered"
    EARLY = "too early"
    DISORDERED = "out of order"
    INVENTED = "invented"


class Kind(StrEnum):
    """How a reader came to know something."""

    LIVE = "live"
    """Said by the stream."""
    PAGE = "page"
    """Read on the first page of the history."""
    FRESH = "fresh start"
    """What was known before is forgotten: a page follows."""
    AWAY = "away"
    """Was away for so long that what follows may come out of the history."""


@dataclass(frozen=True, slots=True)
class Write:
    """A grade became `state`; `acknowledged` is None while nobody knows whether it did.

    `due` has each audience it is meant for, with the time it may see it from (None: at once).
    """

    key: str
    scope: str
    state: str | None
    begun: float
    acknowledged: float | None
    due: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Right:
    """A reader may see a scope of an audience (`guardians:pupils/<id>`) from a moment until another."""

    reader: str
    scope: str
    granted: float = 0.0
    withdrawn: float | None = None
    known: float = 0.0
    """From when every service knows that it was granted: what is written before need not be sent to its reader."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader got: a state of a grade under a scope with its audience, and the cursor it came with."""

    reader: str
    at: float
    kind: Kind
    key: str = ""
    scope: str = ""
    state: str | None = None
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    fault: Fault
    reader: str
    key: str
    what: str
    awaited: bool = False
    """Whether it is missing and may still come."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found; `delivered` counts the states that arrived as they should."""

    findings: Sequence[Finding]
    delivered: int

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def counts(self) -> dict[str, int]:
        """How often each promise was broken."""
        return {fault.value: sum(f.fault is fault for f in self.findings) for fault in Fault}


@dataclass(slots=True)
class _View:
    """What one reader knows of the grades at a point of their stream: the place in each grade's sequence of states.

    `since` is when the unbroken stretch of the stream began in which every state is owed.
    """

    places: dict[tuple[str, str], int] = field(default_factory=dict)
    since: float = 0.0


@dataclass
class Ledger:
    """What was written and who may see it; `ours` tells a grade of this run from those of others."""

    writes: list[Write] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)
    ours: str = ""

    def judge(self, seen: Sequence[Seen], until: float, *, every_state: bool = False) -> Verdict:
        """Judge what readers got up to a moment by which all that was acknowledged and due must have arrived.

        Of a page and of e-mails the last state of a grade is owed: what was corrected meanwhile need not be told.
        `every_state` is for streams, which tell each state in its turn.
        """
        by_key: dict[str, list[Write]] = {}
        for write in self.writes:
            by_key.setdefault(write.key, []).append(write)
        judging = _Judging(by_key, self.rights, self.ours, every_state)
        for one in seen:
            judging.take(one)
        return Verdict([*judging.findings, *judging.missing(until)], judging.delivered)


class _Judging:
    def __init__(
        self, by_key: Mapping[str, Sequence[Write]], rights: Sequence[Right], ours: str, every_state: bool
    ) -> None:
        self.findings: list[Finding] = []
        self.delivered = 0
        self._by_key = by_key
        self._rights = rights
        self._ours = ours
        self._every_state = every_state
        self._skipped: dict[tuple[str, str, str, int], Finding] = {}
        self._views: dict[str, _View] = {}
        self._cursors: set[tuple[str, str]] = set()

    def take(self, one: Seen) -> None:
        """Judge one thing a reader got, given all they got before."""
        view = self._views.setdefault(one.reader, _View())
        if one.kind in (Kind.FRESH, Kind.AWAY):
            view.since = one.at
        if one.kind is Kind.AWAY:
            return
        if one.kind is Kind.FRESH:
            view.places.clear()
            self._cursors = {known for known in self._cursors if known[0] != one.reader}
            return
        if not self._allowed(one):
            self._find(Fault.MISDELIVERED, one, f"{one.scope} is not theirs")
            return
        writes = self._by_key.get(one.key)
        if writes is None:
            if self._ours and self._ours in one.key:
                self._find(Fault.INVENTED, one, "nobody wrote this grade")
            return
        self._place(one, writes, view)

    def _allowed(self, one: Seen) -> bool:
        return any(
            right.reader == one.reader
            and right.scope == one.scope
            and right.granted <= one.at
            and (right.withdrawn is None or one.at <= right.withdrawn + WITHDRAWAL_SECONDS)
            for right in self._rights
        )

    def _place(self, one: Seen, writes: Sequence[Write], view: _View) -> None:
        places = [n for n, write in enumerate(writes) if write.state == one.state and write.begun <= one.at]
        grade = (one.scope, one.key)
        known = view.places.get(grade, -1)
        if not places:
            self._find(Fault.INVENTED, one, f"nobody wrote {one.state}")
            return
        later = [n for n in places if n > known]
        if self._again(one) or (one.kind is Kind.LIVE and known in places and not later):
            self._find(Fault.DOUBLED, one, f"{one.state} once more")
            return
        place = later[0] if later else places[-1]
        if place < known:
            # Late is not lost.
            self._skipped.pop((one.reader, *grade, place), None)
            self._find(Fault.DISORDERED, one, f"{one.state} after {writes[known].state}")
            return
        if self._every_state and one.kind is Kind.LIVE:
            for n in _owed_between(writes, one.scope.partition(":")[0], view.since, known, place):
                lost = Finding(Fault.LOST, one.reader, one.key, f"{writes[n].state} was passed over")
                self._skipped[(one.reader, *grade, n)] = lost
        view.places[grade] = place
        self._time(one, writes[place])

    def _again(self, one: Seen) -> bool:
        if one.kind is not Kind.LIVE or not one.cursor:
            return False
        known = (one.reader, one.cursor) in self._cursors
        self._cursors.add((one.reader, one.cursor))
        return known

    def _time(self, one: Seen, write: Write) -> None:
        audience = one.scope.partition(":")[0]
        due = write.due.get(audience)
        if audience not in write.due or (due is not None and one.at < due):
            self._find(Fault.EARLY, one, f"{one.state} is not due for {audience}")
            return
        self.delivered += 1

    def _find(self, fault: Fault, one: Seen, what: str) -> None:
        self.findings.append(Finding(fault, one.reader, one.key, what))

    def missing(self, until: float) -> Iterator[Finding]:
        """What should have arrived and did not.

        For each standing right the last acknowledged state of each grade; of streams also what they passed over.
        """
        yield from self._skipped.values()
        for right in self._rights:
            if right.withdrawn is not None or right.granted > until:
                continue
            audience, _, scope = right.scope.partition(":")
            for key, writes in self._by_key.items():
                if writes[-1].scope == scope:
                    for n in self._absent(right, audience, key, writes, until):
                        lost = f"{writes[n].state} did not arrive"
                        yield Finding(Fault.LOST, right.reader, key, lost, awaited=True)

    def _absent(self, right: Right, audience: str, key: str, writes: Sequence[Write], until: float) -> Iterator[int]:
        due = [n for n, write in enumerate(writes) if write.acknowledged is not None and _shown(write, audience, until)]
        if not due:
            return
        view = self._views.get(right.reader, _View())
        place, last = view.places.get((right.scope, key), -1), due[-1]
        if place < last:
            if self._every_state:
                yield from _owed_between(writes, audience, max(view.since, right.granted), place, last)
            if place != -1 or writes[last].state is not None:
                yield last


def _owed_between(writes: Sequence[Write], audience: str, since: float, known: int, place: int) -> Iterator[int]:
    """The states between two places that a stream had to tell an audience on its way from one to the other.

    The feed keeps every state of an item and the gateways' rings hold each of them: a burst that is gathered and a
    reader who comes back get them all, in order. Two things make one of several states and break no promise:

    - The history knows an item's newest state alone. So what was written before a page was read (a fresh start), or
      while a reader was away for longer than the rings reach back, is not owed: it isn't later than `since`.
    - What is changed before an audience's due time was never said to it: at that time the state of the moment is
      published. And what was never shown needs no withdrawal.
    """
    shown = known >= 0 and writes[known].state is not None
    for n in range(known + 1, place):
        write = writes[n]
        if write.acknowledged is None or write.begun <= since or audience not in write.due:
            continue
        due = write.due[audience]
        unsaid = write.state is None or (due is not None and write.begun < due)
        if (shown or not unsaid) and (n == 0 or writes[n - 1].state != write.state):
            yield n
            shown = write.state is not None


def _shown(write: Write, audience: str, at: float) -> bool:
    if audience not in write.due:
        return False
    due = write.due[audience]
    return due is None or due <= at
