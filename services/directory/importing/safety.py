"""The safety stop: a set cut short must not empty a school. Counted per school and kind of place, before anything is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date

from contracts.directory import PersonChanged, RoleName
from services.directory.documents import Document, over
from services.directory.importing.report import Detaching, Report

FEW = 5
"""So many of one kind at one school may always go at once: a tiny school is not stopped by one family that moves."""
SHARE = 0.1
"""The share of one kind at one school that may go at once, unless the import says otherwise."""

Place = tuple[str, str]
"""(uai, kind of place): a role's name, `class` for a pupil's membership, `guardian` for a pupil's link."""


def places(document: Document, today: date) -> set[Place]:
    """What a person has at each school: their roles, and as a pupil whether any class or guardian at all."""
    if not isinstance(document, PersonChanged) or document.ended:
        return set()
    held = {(role.uai, role.name.value) for role in document.roles if not over(role, today)}
    pupil_at = {uai for uai, name in held if name == RoleName.PUPIL.value}
    held |= {(m.uai, "class") for m in document.memberships if m.uai in pupil_at and not over(m, today)}
    if any(not over(link, today) for link in document.guardians):
        held |= {(uai, "guardian") for uai in pupil_at}
    return held


class Stop:
    """Counts who would lose what, over a whole import."""

    def __init__(self, share: float, few: int, uais: frozenset[str], today: date) -> None:
        self._share, self._few, self._uais, self._today = share, few, uais, today
        self._had: Counter[Place] = Counter()
        self._lost: Counter[Place] = Counter()

    def stays(self, documents: Iterable[Document]) -> None:
        """People whom the source states exactly as before."""
        for document in documents:
            self._had.update(places(document, self._today))

    def moves(self, before: Document, after: Document) -> None:
        """An entity as it stands, and as the set would leave it."""
        had = {place for place in places(before, self._today) if place[0] in self._uais}
        self._had.update(had)
        self._lost.update(had - places(after, self._today))

    def judge(self, report: Report) -> None:
        """Put the figures into the report and refuse what loses too much."""
        for (uai, kind), lost in sorted(self._lost.items()):
            of = self._had[uai, kind]
            refused = lost > self._few and lost > self._share * of
            report.detaching.append(Detaching(uai, kind, lost, of, refused))
            if refused:
                report.refuse("detaches-too-many", "", field=f"{uai} {kind}")
