"""The files that say what a school is made of: orgs, academic sessions, courses, classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row
from services.directory.importing.sets import ClassRow, Course, School, SchoolSet, Session
from services.directory.importing.values import (
    Rejected,
    day,
    is_uai,
    listed,
    needed,
    one_of,
    sourced_id,
    spelled,
    text,
    uai_letter_fits,
)

_ORG_TYPES = spelled("department", "school", "district", "local", "state", "national")
_SESSION_TYPES = spelled("gradingPeriod", "semester", "schoolYear", "term")
_CLASS_TYPES = spelled("homeroom", "scheduled")

Record = TypeVar("Record")


def leaving(row: Row) -> bool:
    """Whether a record says of itself that it is no longer of the set."""
    return row.get("status").lower() in ("tobedeleted", "inactive")


def keep(found: dict[str, Record], key: str, record: Record, row: Row, report: Report) -> None:
    """Keep a record under its id; the same again is noted, another under the same id makes the id mean nothing.

    Then nobody can say which of the two is right, and it must not depend on their order: the set is refused.
    """
    before = found.setdefault(key, record)
    if before is record:
        return
    if before == record:
        report.add(Severity.WARNING, "id-repeated", row.file, record=row.record, id=key)
    else:
        report.refuse("id-twice", row.file, record=row.record, field="sourcedId")


def take_org(found: SchoolSet, row: Row, report: Report) -> None:
    """A school needs a national identifier, in `identifier` or in a `metadata.` column; other orgs are passed over."""
    key = sourced_id(row, report)
    kind = one_of(row, "type", _ORG_TYPES, report)
    if kind != "school" or leaving(row):
        return
    uai = _uai(row.cells)
    if uai is None:
        raise Rejected("identifier", "uai-missing")
    row.cells["identifier"] = uai
    if not uai_letter_fits(uai):
        report.add(Severity.WARNING, "uai-letter", row.file, record=row.record, id=key, field="identifier")
    if any(school.uai == uai and other != key for other, school in found.schools.items()):
        report.refuse("uai-twice", row.file, record=row.record, field="identifier")
    keep(found.schools, key, School(uai, needed(row, "name")), row, report)


def _uai(cells: Mapping[str, str]) -> str | None:
    own = cells.get("identifier", "").strip()
    if is_uai(own):
        return own
    others = {v.strip() for column, v in cells.items() if column.startswith("metadata.") and is_uai(v.strip())}
    return others.pop() if len(others) == 1 else None


def take_session(found: SchoolSet, row: Row, report: Report) -> None:
    """A school year, or a part of one."""
    key = sourced_id(row, report)
    kind = one_of(row, "type", _SESSION_TYPES, report)
    starts, ends = day(row, "startDate"), day(row, "endDate")
    if starts is None or ends is None:
        raise Rejected("startDate" if starts is None else "endDate", "value-missing")
    if ends <= starts:
        raise Rejected("endDate", "dates-order")
    year = needed(row, "schoolYear")
    if not (len(year) == 4 and year.isascii() and year.isdigit()):
        raise Rejected("schoolYear", "year")
    if not leaving(row):
        keep(found.sessions, key, Session(kind, needed(row, "title"), int(year), starts, ends), row, report)


def take_course(found: SchoolSet, row: Row, report: Report) -> None:
    """A course."""
    key = sourced_id(row, report)
    course = Course(needed(row, "title"), text(row, "courseCode"), listed(row, "subjects"), listed(row, "subjectCodes"))
    if not leaving(row):
        keep(found.courses, key, course, row, report)


def take_class(found: SchoolSet, row: Row, report: Report) -> None:
    """A class or group, of one school of the set and one school year."""
    key = sourced_id(row, report)
    kind = one_of(row, "classType", _CLASS_TYPES, report)
    if kind not in _CLASS_TYPES.values():
        raise Rejected("classType", "value-unknown")
    school = found.schools.get(needed(row, "schoolSourcedId"))
    if school is None:
        raise Rejected("schoolSourcedId", "school-not-in-set")
    course = needed(row, "courseSourcedId")
    if course not in found.courses:
        report.add(Severity.WARNING, "course-not-in-set", row.file, record=row.record, id=key, field="courseSourcedId")
    record = ClassRow(
        needed(row, "title"), kind == "homeroom", course, school.uai, _year(found, row),
        listed(row, "subjects"), listed(row, "subjectCodes"),
    )  # fmt: skip
    if not leaving(row):
        keep(found.classes, key, record, row, report)


def _year(found: SchoolSet, row: Row) -> int:
    needed_terms = listed(row, "termSourcedIds")
    sessions = [found.sessions.get(term) for term in needed_terms]
    years = {session.year for session in sessions if session is not None}
    if not years:
        raise Rejected("termSourcedIds", "session-not-in-set" if needed_terms else "value-missing")
    if len(years) > 1:
        raise Rejected("termSourcedIds", "two-school-years")
    return years.pop()


def class_rejected(found: SchoolSet, row: Row) -> None:
    """A class that could not be read does not end for it."""
    found.unread_classes.add(row.get("sourcedId"))


def session_rejected(found: SchoolSet, _row: Row) -> None:
    """Of the calendar something is not known."""
    found.partial_calendar = True


def not_missed(_found: SchoolSet, _row: Row) -> None:
    """A school or course that could not be read: a school that the set does not hold is not touched anyhow."""
