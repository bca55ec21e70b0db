"""The rows of delta files: what they change of a source's earlier rows, by file and id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.directory.importing.package import Package, Refused
from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row, rows
from services.directory.importing.structure_files import leaving
from services.directory.importing.values import Rejected

AHEAD = timedelta(days=1)
"""A clock may be this far ahead; a later time would make every following set look old."""


class Overlay:
    """The delta rows of one file by id, and the newest time among them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.newest: datetime | None = None

    def add(self, row: Row, now: datetime, report: Report) -> None:
        """Take a row in; raises `Rejected` when it does not say what it is."""
        if row.too_long:
            raise Rejected(None, "row-too-long")
        id = row.get("sourcedId")
        if not id:
            raise Rejected("sourcedId", "value-missing")
        status = row.get("status")
        if status.lower() not in ("active", "tobedeleted", "inactive"):
            raise Rejected("status", "value-unknown" if status else "value-missing")
        if status not in ("active", "tobedeleted", "inactive"):
            report.add(Severity.WARNING, "value-case", row.file, record=row.record, id=id, field="status")
        modified = _modified(row, now, report)
        before = self.rows.setdefault(id, row)
        if before is row:
            self.newest = max(modified, self.newest or modified)
        elif before.cells == row.cells:
            report.add(Severity.WARNING, "id-repeated", row.file, record=row.record, id=id)
        else:
            report.refuse("id-twice", row.file, record=row.record, field="sourcedId")


def _modified(row: Row, now: datetime, report: Report) -> datetime:
    value = row.get("dateLastModified")
    if not value:
        raise Rejected("dateLastModified", "value-missing")
    try:
        found = datetime.fromisoformat(value) if "T" in value else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Rejected("dateLastModified", "datetime")
    if found.utcoffset() != timedelta(0):
        report.add(
            Severity.WARNING, "datetime-zone", row.file, record=row.record, id=row.get("sourcedId"),
            field="dateLastModified",
        )  # fmt: skip
    if found > now + AHEAD:
        raise Rejected("dateLastModified", "datetime-ahead")
    return found.astimezone(UTC)


def read_overlay(package: Package, file: str, kind: str, report: Report, now: datetime) -> Overlay:
    """Read a delta file; a row that is rejected changes nothing of what was said before."""
    overlay = Overlay()
    counts = report.counts.get(kind)
    for row in rows(package, file, report, delta=True):
        if row.record > package.limits.delta_rows:
            report.refuse("delta-too-large", file, record=row.record)
            raise Refused
        if counts:
            counts.read += 1
        try:
            overlay.add(row, now, report)
        except Rejected as why:
            reject(row, why, report, kind)
    if report.refused:
        raise Refused
    return overlay


def reject(row: Row, why: Rejected, report: Report, kind: str) -> None:
    """Report a record that cannot be taken."""
    id = row.get("sourcedId")
    report.add(Severity.REJECTED, why.code, row.file, record=row.record, id=id, field=why.field)
    if kind:
        report.counts[kind].rejected += 1


def deletes(row: Row, *, known: bool, report: Report) -> bool:
    """Whether a delta row takes its record away; what is not known is reported, a school never ends by a file."""
    if not leaving(row):
        return False
    code = None if known else "delete-unknown"
    if known and row.file == "orgs.csv":
        code = "org-delete-skipped"
    if code:
        report.add(Severity.WARNING, code, row.file, record=row.record, id=row.get("sourcedId"))
    return True
