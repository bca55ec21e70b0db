"""Ids that stand twice in a file of roles or enrolments, found without holding half a million of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from itertools import pairwise

from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row

PLACES = frozenset({"roles.csv", "enrollments.csv"})
"""Files whose records are told apart by whom they concern; of all others the set keeps the ids themselves."""


class Repeats:
    """Remembers eight bytes of each id; only where two agree is the file read again."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, row: Row) -> None:
        """Take note of a row."""
        if row.file in PLACES:
            self._hashes.append(hash(row.get("sourcedId")))

    def report(self, again: Callable[[], Iterable[Row]], report: Report) -> None:
        """Note a record that stands twice; two that differ under one id make the id mean nothing and refuse the set."""
        twice = {one for one, following in pairwise(sorted(self._hashes)) if one == following}
        if not twice:
            return
        first: dict[str, dict[str, str]] = {}
        for row in again():
            id = row.get("sourcedId")
            if not id or hash(id) not in twice or first.setdefault(id, row.cells) is row.cells:
                continue
            if first[id] == row.cells:
                report.add(Severity.WARNING, "id-repeated", row.file, record=row.record, id=id)
            else:
                report.refuse("id-twice", row.file, record=row.record, field="sourcedId")
