"""The records of one CSV file: bounded lines, a header made out, cells by column name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import BinaryIO, cast

from services.directory.importing.columns import DELTA_REQUIRED, FILES, UNREAD, FileSpec
from services.directory.importing.package import BROKEN, Package, Refused
from services.directory.importing.report import Report, Severity

TEXT_LENGTH = 255
_BOM = b"\xef\xbb\xbf"
_LONG, _NEAR = 12, 0.93
"""A long header one letter off from a single absent column (dateLastModifed) can mean no other."""


@dataclass(slots=True)
class Row:
    """One record: cells of the known columns without surrounding blanks, and where it stands (the first data row is 1)."""

    file: str
    record: int
    cells: dict[str, str]
    too_long: bool = False
    """More cells than the header, even empty ones: an unquoted comma may have moved those before."""
    plain: bool = False
    """Looked at as a whole: no cell is longer than a text may be, none holds a control character."""

    def get(self, column: str) -> str:
        """The cell; empty when there is none."""
        return self.cells.get(column, "")


class _Unreadable(Exception):
    """The file cannot be told into records; carries the code."""


def rows(package: Package, name: str, report: Report, *, delta: bool = False) -> Iterator[Row]:
    """The records of a data file, as a stream; raises `Refused` for a file that cannot be told into records.

    A delta file needs the columns that say what becomes of a record and since when.
    """
    spec = FILES[name]
    spec = replace(spec, required=spec.required | DELTA_REQUIRED) if delta else spec
    record = 0
    try:
        with package.open(name) as binary:
            reader = csv.reader(_lines(binary, package.limits.line), strict=True)
            columns = _columns(next(reader, []), name, spec, report)
            for record, cells in _records(reader):
                yield _row(name, record, columns, cells, report)
    except _Unreadable as fault:
        report.refuse(str(fault), name, record=record + 1)
        raise Refused from fault
    except csv.Error as fault:
        report.refuse("csv-malformed", name, record=record + 1)
        raise Refused from fault
    except BROKEN as fault:
        report.refuse("damaged", name, record=record + 1)
        raise Refused from fault
    if record == 0 and delta:
        report.add(Severity.WARNING, "file-empty", name)
    elif record == 0:
        report.refuse("file-empty", name)
        raise Refused


def plain_rows(package: Package, name: str, report: Report) -> Iterator[list[str]]:
    """The records of a small file without a known header (the manifest), header included."""
    try:
        with package.open(name) as binary:
            yield from csv.reader(_lines(binary, package.limits.line), strict=True)
    except (_Unreadable, csv.Error, *BROKEN) as fault:
        report.refuse(str(fault) if isinstance(fault, _Unreadable) else "csv-malformed", name)
        raise Refused from fault


def _lines(binary: BinaryIO, limit: int) -> Iterator[str]:
    first = True
    while line := binary.readline(limit + 1):
        if len(line) > limit:
            raise _Unreadable("line-too-long")
        if first:
            line, first = line.removeprefix(_BOM), False
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise _Unreadable("not-utf-8") from error


def _records(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Number the records; a field that runs over a line end would have swallowed rows, so it refuses the file."""
    record, before = 0, reader.line_num  # type: ignore[attr-defined]
    for cells in reader:
        line = reader.line_num  # type: ignore[attr-defined]
        if line != before + 1:
            raise _Unreadable("line-break-in-field")
        before = line
        if cells:
            record += 1
            yield record, cells


def _row(name: str, record: int, columns: list[str | None], cells: list[str], report: Report) -> Row:
    if len(cells) < len(columns):
        report.add(Severity.WARNING, "row-too-short", name, record=record, id=cells[0])
    # Most of an import's rows pass here, so the work on a cell is left to the interpreter's own loops.
    known = dict(zip(columns, map(str.strip, cells), strict=False))
    known.pop(None, None)
    text = "".join(known.values())
    plain = len(text) <= TEXT_LENGTH and text.isprintable()
    return Row(name, record, cast("dict[str, str]", known), len(cells) > len(columns), plain)


def _columns(header: list[str], name: str, spec: FileSpec, report: Report) -> list[str | None]:
    """Which known column each header cell names; None for one that is not read."""
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        report.refuse("delimiter", name, record=0)
        raise Refused
    by_lower = {column.lower(): column for column in spec.columns}
    present = {cell.strip().lower() for cell in header}
    absent = [lower for lower in by_lower if lower not in present]
    columns = [_column(cell.strip(), name, by_lower, absent, report) for cell in header]
    named = [column for column in columns if column is not None]
    for column in spec.columns:
        if named.count(column) > 1:
            report.refuse("column-twice", name, record=0, field=column)
        elif column not in named and column in spec.required:
            report.refuse("column-missing", name, record=0, field=column)
        elif column not in named:
            report.add(Severity.WARNING, "column-absent", name, record=0, field=column)
    if report.refused:
        raise Refused
    if [c for c in spec.columns if c in named] != [c for c in named if not c.startswith("metadata.")]:
        report.add(Severity.WARNING, "column-order", name, record=0)
    return [None if column in UNREAD else column for column in columns]


def _column(cell: str, name: str, by_lower: dict[str, str], absent: list[str], report: Report) -> str | None:
    lower = cell.lower()
    if lower.startswith("metadata."):
        return lower
    known = by_lower.get(lower)
    near = get_close_matches(lower, absent, cutoff=_NEAR) if known is None and len(lower) >= _LONG else []
    if len(near) == 1:
        report.add(Severity.WARNING, "header-misspelt", name, record=0, field=cell)
        return by_lower[near[0]]
    if known is None:
        code = "header-blank" if not cell else "column-unknown"
        report.add(Severity.WARNING, code, name, record=0, field=cell or None)
    elif known != cell:
        report.add(Severity.WARNING, "header-case", name, record=0, field=cell)
    return known
