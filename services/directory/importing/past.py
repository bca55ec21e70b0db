"""The rows a source said last, kept packed: a delta file is laid over them, and the whole is compared as if it came in bulk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic_core import from_json, to_json

from services.directory.importing.columns import FILES, KEPT
from services.directory.importing.identity import person_id
from services.directory.importing.rows import Row

PART = 2000
"""Rows packed together."""
Parts = dict[str, list[bytes]]
"""Packed rows by file."""

_OF_A_PERSON = {
    "users.csv": "sourcedId",
    "roles.csv": "userSourcedId",
    "enrollments.csv": "userSourcedId",
    "demographics.csv": "sourcedId",
}


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a source's earlier imports; `revision` is 0 when there was none."""

    revision: int = 0
    digest: str = ""
    authority: str = ""
    newest: datetime | None = None
    """Newest dateLastModified of the delta rows applied so far."""
    parts: Mapping[str, list[bytes]] = field(default_factory=dict)

    def rows(self, file: str) -> Iterator[Row]:
        """The rows of a file as they were last said; their record is 0."""
        return unpacked(self.parts, file)


class Keeper:
    """Packs the rows of a set while they are read."""

    def __init__(self) -> None:
        self._open: dict[str, list[list[str]]] = {file: [] for file in FILES}
        self._parts: Parts = {file: [] for file in FILES}

    def add(self, row: Row) -> None:
        """Keep a row: the columns that are read and no others."""
        cells, rows = row.cells, self._open[row.file]
        rows.append([cells.get(column, "").strip() for column in KEPT[row.file]])
        if len(rows) == PART:
            self._pack(row.file)

    def parts(self) -> Parts:
        """Everything kept so far, packed."""
        for file, rows in self._open.items():
            if rows:
                self._pack(file)
        return self._parts

    def _pack(self, file: str) -> None:
        self._parts[file].append(zlib.compress(to_json(self._open[file]), 1))
        self._open[file] = []


def unpacked(parts: Mapping[str, list[bytes]], file: str) -> Iterator[Row]:
    """The rows of a file that were packed."""
    columns = KEPT[file]
    for part in parts.get(file, ()):
        for cells in from_json(zlib.decompress(part)):
            yield Row(file, 0, {column: cell for column, cell in zip(columns, cells, strict=True) if cell})


def without_person(source: str, id: UUID, parts: Mapping[str, list[bytes]]) -> Parts:
    """The packed rows without those of a person who is erased."""
    gone = {
        user
        for file in ("users.csv", "demographics.csv")
        for row in unpacked(parts, file)
        if person_id(source, user := row.get("sourcedId")) == id
    }
    return filtered(parts, lambda row: row.get(_OF_A_PERSON.get(row.file, "")) not in gone)


def filtered(parts: Mapping[str, list[bytes]], stays: Callable[[Row], bool]) -> Parts:
    """The packed rows that stay."""
    keeper = Keeper()
    for file in FILES:
        for row in unpacked(parts, file):
            if stays(row):
                keeper.add(row)
    return keeper.parts()
