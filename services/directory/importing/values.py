"""The values of cells: what is unambiguous is taken and noted, what is not rejects its record; no date is ever guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import TEXT_LENGTH, Row

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_GUID = re.compile(r"[A-Za-z0-9._/@-]{1,255}")
_UAI = re.compile(r"[0-9]{7}[A-Z]")
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


class Rejected(Exception):
    """A record that cannot be taken; carries the field and the code."""

    def __init__(self, field: str | None, code: str) -> None:
        super().__init__(code)
        self.field = field
        self.code = code


def text(row: Row, field: str) -> str:
    """A value of at most 255 characters without control characters; empty when there is none."""
    value = row.get(field)
    if row.plain:
        return value
    if len(value) > TEXT_LENGTH:
        raise Rejected(field, "too-long")
    if _CONTROL.search(value):
        raise Rejected(field, "control-character")
    return value


def needed(row: Row, field: str) -> str:
    """A value that must be there."""
    value = text(row, field)
    if not value:
        raise Rejected(field, "value-missing")
    return value


def sourced_id(row: Row, report: Report) -> str:
    """The id of the record; unusual characters are noted, for an id is compared and nothing else."""
    value = needed(row, "sourcedId")
    if not _GUID.fullmatch(value):
        report.add(Severity.WARNING, "id-characters", row.file, record=row.record, id=value, field="sourcedId")
    return value


def one_of(row: Row, field: str, allowed: Mapping[str, str], report: Report) -> str:
    """A value of an enumeration; `allowed` maps lower case to the specification's spelling. `ext:` values pass."""
    value = needed(row, field)
    known = allowed.get(value.lower())
    if known is None:
        if value.startswith("ext:"):
            return value
        raise Rejected(field, "value-unknown")
    if known != value:
        report.add(Severity.WARNING, "value-case", row.file, record=row.record, id=row.get("sourcedId"), field=field)
    return known


def spelled(*names: str) -> dict[str, str]:
    """The enumeration for `one_of`."""
    return {name.lower(): name for name in names}


def day(row: Row, field: str) -> date | None:
    """A date as YYYY-MM-DD, or None when the cell is empty."""
    value = row.get(field)
    if not value:
        return None
    parsed = _parse_day(value)
    if parsed is None:
        raise Rejected(field, "date")
    return parsed


def period(row: Row, first: str, last: str) -> tuple[date | None, date | None]:
    """A half-open period; its end must not come before its start."""
    starts, ends = day(row, first), day(row, last)
    if starts and ends and ends < starts:
        raise Rejected(last, "dates-order")
    return starts, ends


def listed(row: Row, field: str) -> tuple[str, ...]:
    """The values of a comma-separated list."""
    return tuple(part for part in (p.strip() for p in row.get(field).split(",")) if part)


def is_uai(value: str) -> bool:
    """Whether this has the form of a national school identifier."""
    return _UAI.fullmatch(value) is not None


def uai_letter_fits(uai: str) -> bool:
    """Whether the letter is the one that the number calls for."""
    return _UAI_LETTERS[int(uai[:7]) % 23] == uai[7]


@lru_cache(maxsize=4096)
def _parse_day(value: str) -> date | None:
    # Cached for memory as much as for speed: a county's enrolments share a handful of dates.
    if not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None
