"""What a bulk set leaves standing of a source's earlier rows: other schools, and what could not be read this time."""

from __future__ import annotations

from collections.abc import Callable

from services.directory.importing.past import Keeper, Parts, Past, unpacked
from services.directory.importing.rows import Row
from services.directory.importing.sets import SchoolSet


class Carrying:
    """Decides row by row; files are asked about in an order in which users come after their roles."""

    def __init__(self, found: SchoolSet, past: Past) -> None:
        self._found = found
        self._past = past
        held = {row.get("sourcedId"): row.get("identifier") in found.uais for row in past.rows("orgs.csv")}
        self._own = found.schools.keys() | {org for org, own in held.items() if own}
        self._elsewhere = not all(held.values())
        self._unsure = found.partial | found.unread
        self._unsure_classes = found.partial_classes | found.unread_classes
        self._classes: set[str] = set()
        self._users: set[str] = set()

    def run(self, keeper: Keeper) -> Parts:
        """The rows of the set with the earlier ones that still hold."""
        parts = keeper.parts()
        if not (self._elsewhere or self._unsure or self._unsure_classes or any(self._found.rejected.values())):
            return parts
        for file, holds in self._rules().items():
            carried = {row.get("sourcedId"): row for row in self._past.rows(file) if self._rejected(row) or holds(row)}
            if carried:
                for row in unpacked(parts, file):
                    carried.pop(row.get("sourcedId"), None)
            for row in carried.values():
                keeper.add(row)
        return keeper.parts()

    def _rejected(self, row: Row) -> bool:
        return row.get("sourcedId") in self._found.rejected.get(row.file, ())

    def _rules(self) -> dict[str, Callable[[Row], bool]]:
        return {
            "orgs.csv": lambda row: row.get("sourcedId") not in self._own,
            "academicSessions.csv": lambda _: self._elsewhere or self._found.partial_calendar,
            "courses.csv": lambda _: self._elsewhere,
            "classes.csv": self._class,
            "roles.csv": self._role,
            "enrollments.csv": self._enrolment,
            "users.csv": lambda row: row.get("sourcedId") in self._users or row.get("sourcedId") in self._unsure,
            "demographics.csv": lambda row: row.get("sourcedId") in self._users or row.get("sourcedId") in self._unsure,
        }

    def _class(self, row: Row) -> bool:
        holds = row.get("sourcedId") in self._unsure_classes or row.get("schoolSourcedId") not in self._own
        self._classes.update((row.get("sourcedId"),) if holds else ())
        return holds

    def _role(self, row: Row) -> bool:
        elsewhere = self._elsewhere and row.get("orgSourcedId") not in self._own
        return self._of(row, holds=elsewhere or row.get("userSourcedId") in self._unsure)

    def _enrolment(self, row: Row) -> bool:
        kept = row.get("classSourcedId") in self._classes or row.get("classSourcedId") in self._unsure_classes
        return self._of(row, holds=kept or row.get("userSourcedId") in self._unsure)

    def _of(self, row: Row, *, holds: bool) -> bool:
        self._users.update((row.get("userSourcedId"),) if holds else ())
        return holds
