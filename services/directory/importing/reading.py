"""Reading a package into a set: file after file, each record checked alone and against what it refers to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from services.directory.importing import families, people_files, structure_files
from services.directory.importing.manifest import read_manifest
from services.directory.importing.package import Package, Refused
from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row, rows
from services.directory.importing.sets import SchoolSet
from services.directory.importing.values import Rejected

Progress = Callable[[str, int, int], None]
"""Told (stage, done, total) now and then; what `total` counts depends on the stage."""

_EVERY = 5000


class _Taking(NamedTuple):
    file: str
    kind: str
    take: Callable[[SchoolSet, Row, Report], None]
    rejected: Callable[[SchoolSet, Row], None]


_TAKINGS = (
    _Taking("orgs.csv", "schools", structure_files.take_org, structure_files.not_missed),
    _Taking("academicSessions.csv", "sessions", structure_files.take_session, structure_files.session_rejected),
    _Taking("courses.csv", "courses", structure_files.take_course, structure_files.not_missed),
    _Taking("classes.csv", "groups", structure_files.take_class, structure_files.class_rejected),
    _Taking("users.csv", "people", people_files.take_user, people_files.user_rejected),
    _Taking("roles.csv", "roles", people_files.take_role, people_files.role_rejected),
    _Taking("enrollments.csv", "enrolments", people_files.take_enrolment, people_files.enrolment_rejected),
    _Taking("demographics.csv", "", people_files.take_demographics, people_files.demographics_rejected),
)


def read_set(package: Package, report: Report, source: str = "", progress: Progress | None = None) -> SchoolSet | None:
    """Read a whole package; None when it only has a manifest, which changes nothing.

    `source` overrides the system the manifest names. Raises `Refused` when the set is not fit; the report says why.
    """
    manifest = read_manifest(package, report)
    report.source = source or manifest.source
    if not manifest.files:
        return None
    if not report.source:
        report.refuse("source-missing", "manifest.csv", field="source.systemCode")
        raise Refused
    found = SchoolSet(report.source)
    for taking in _TAKINGS:
        if taking.file in manifest.files:
            _read_file(package, taking, found, report, progress)
    if not found.schools:
        report.refuse("no-school", "orgs.csv")
        raise Refused
    families.link(found, report)
    return found


def _read_file(package: Package, taking: _Taking, found: SchoolSet, report: Report, progress: Progress | None) -> None:
    counts = report.counts[taking.kind] if taking.kind else None
    for row in rows(package, taking.file, report):
        if counts:
            counts.read += 1
        try:
            _check_row(row, report)
            taking.take(found, row, report)
        except Rejected as why:
            report.add(
                Severity.REJECTED, why.code, row.file, record=row.record, id=row.get("sourcedId"), field=why.field
            )
            taking.rejected(found, row)
            if counts:
                counts.rejected += 1
        if progress and row.record % _EVERY == 0:
            progress(row.file, row.record, 0)


def _check_row(row: Row, report: Report) -> None:
    if row.too_long:
        raise Rejected(None, "row-too-long")
    status = row.get("status").lower()
    if status or row.get("dateLastModified"):
        report.add(Severity.WARNING, "status-in-bulk", row.file, record=row.record, id=row.get("sourcedId"))
    if status not in ("", "active", "tobedeleted", "inactive"):
        raise Rejected("status", "value-unknown")
