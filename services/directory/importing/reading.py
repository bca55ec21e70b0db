"""Reading a package into a set: file after file, each record checked alone and against what it refers to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from services.directory.importing import families, people_files, structure_files
from services.directory.importing.carrying import Carrying
from services.directory.importing.columns import MANIFEST
from services.directory.importing.manifest import Manifest, read_manifest
from services.directory.importing.overlay import Overlay, deletes, read_overlay, reject
from services.directory.importing.package import Package, Refused
from services.directory.importing.past import Keeper, Parts, Past
from services.directory.importing.repeats import PLACES, Repeats
from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row, rows
from services.directory.importing.sets import SchoolSet
from services.directory.importing.structure_files import leaving
from services.directory.importing.values import Rejected

Progress = Callable[[str, int, int], None]
"""Told (stage, done, total) now and then; what `total` counts depends on the stage."""

OLD = timedelta(days=7)
"""A set whose newest change is older than this is noted."""
_EVERY = 5000
_GONE_WITH = frozenset({"user-not-in-set", "class-not-in-set", "role-differs"})
"""Why an earlier row goes without a word of its own; anything else it lacks makes the set contradict itself."""


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


@dataclass(frozen=True, slots=True)
class Reading:
    """A set as read: what it says in all, the rows to remember, and the newest time among its delta rows."""

    found: SchoolSet
    parts: Parts | None
    newest: datetime | None


def read_set(
    package: Package, report: Report, past: Past | None = None, source: str = "", progress: Progress | None = None
) -> Reading | None:
    """Read a whole package; None when it only has a manifest, which changes nothing.

    `past` is what the source said before: files that are absent or delta rest on it; None when its rows need not be
    remembered. `source` overrides the system the manifest names. Raises `Refused` when the set is not fit; the report
    says why.
    """
    manifest = read_manifest(package, report)
    report.source = source or manifest.source
    if not manifest.files:
        return None
    if not report.source:
        report.refuse("source-missing", "manifest.csv", field="source.systemCode")
        raise Refused
    reader = _Reader(package, manifest, report, past, progress)
    return reader.changes() if manifest.delta else reader.whole()


class _Reader:
    """One package's reading, file after file in the order in which one may refer to another."""

    def __init__(
        self, package: Package, manifest: Manifest, report: Report, past: Past | None, progress: Progress | None
    ) -> None:
        self._package = package
        self._manifest = manifest
        self._report = report
        self._past = past or Past()
        self._keeper = None if past is None else Keeper()
        self._progress = progress
        self._found = SchoolSet(report.source)
        self._told: set[str] = set()
        """Users that a package with delta files speaks of."""

    def whole(self) -> Reading:
        """A set all of whose files are bulk."""
        for taking in _TAKINGS:
            if taking.file in self._manifest.bulk:
                self._bulk(taking)
        self._finish()
        parts = Carrying(self._found, self._past).run(self._keeper) if self._keeper else None
        return Reading(self._found, parts, None)

    def changes(self) -> Reading:
        """A set some of whose files are delta: they are laid over what the source said before."""
        if not self._past.revision:
            self._report.refuse("delta-without-base", min(self._manifest.delta))
            raise Refused
        now, newest = datetime.now(UTC), self._past.newest
        overlays = {
            taking.file: read_overlay(self._package, taking.file, taking.kind, self._report, now)
            for taking in _TAKINGS
            if taking.file in self._manifest.delta
        }
        self._check_age(max((o.newest for o in overlays.values() if o.newest), default=None), now)
        for taking in _TAKINGS:
            if taking.file in self._manifest.bulk:
                self._bulk(taking)
                self._check_schools(taking)
            else:
                self._over(taking, overlays.get(taking.file) or Overlay())
        self._report.about = None if "users.csv" in self._manifest.bulk else frozenset(self._told)
        self._finish()
        assert self._keeper is not None
        times = [o.newest for o in overlays.values() if o.newest] + ([newest] if newest else [])
        return Reading(self._found, self._keeper.parts(), max(times, default=None))

    def _check_age(self, newest: datetime | None, now: datetime) -> None:
        last = self._past.newest
        if newest and last and newest < last:
            self._report.refuse("older-than-last", MANIFEST, field=last.isoformat())
            raise Refused
        if newest and now - newest > OLD:
            self._report.add(Severity.WARNING, "set-old", MANIFEST, field=newest.isoformat())

    def _check_schools(self, taking: _Taking) -> None:
        """Beside delta files a bulk orgs.csv that leaves schools out may mean that they go, or that they are not meant."""
        if taking.file != "orgs.csv":
            return
        if any(row.get("identifier") not in self._found.uais for row in self._past.rows(taking.file)):
            self._report.refuse("school-left-out", taking.file)
            raise Refused

    def _finish(self) -> None:
        if not self._found.schools:
            self._report.refuse("no-school", "orgs.csv")
            raise Refused
        families.link(self._found, self._report)

    def _bulk(self, taking: _Taking) -> None:
        counts = self._report.counts[taking.kind] if taking.kind else None
        ids = Repeats()
        for row in rows(self._package, taking.file, self._report):
            ids.add(row)
            if counts:
                counts.read += 1
            try:
                _check_row(row, self._report)
                taking.take(self._found, row, self._report)
            except Rejected as why:
                reject(row, why, self._report, taking.kind)
                taking.rejected(self._found, row)
                self._found.rejected.setdefault(row.file, set()).add(row.get("sourcedId"))
            else:
                self._keep(row)
            if self._progress and row.record % _EVERY == 0:
                self._progress(row.file, row.record, 0)
        if taking.file in PLACES:
            ids.report(lambda: rows(self._package, taking.file, Report()), self._report)

    def _over(self, taking: _Taking, overlay: Overlay) -> None:
        """The earlier rows of a file with the delta's over them; a rejected row leaves the earlier one standing."""
        known: set[str] = set()
        for before in self._past.rows(taking.file):
            id = before.get("sourcedId")
            row = overlay.rows.get(id)
            if row is None:
                self._again(taking, before)
            elif id not in known:
                known.add(id)
                self._speaks_of(before)
                if not self._changed(taking, row, known=True):
                    self._again(taking, before)
        for id, row in overlay.rows.items():
            if id not in known:
                self._changed(taking, row, known=False)

    def _changed(self, taking: _Taking, row: Row, *, known: bool) -> bool:
        """Take a delta row; whether it holds instead of the earlier one."""
        self._speaks_of(row)
        if deletes(row, known=known, report=self._report):
            return row.file != "orgs.csv"
        try:
            taking.take(self._found, row, self._report)
        except Rejected as why:
            reject(row, why, self._report, taking.kind)
            return False
        self._keep(row)
        return True

    def _again(self, taking: _Taking, before: Row) -> None:
        """Take an earlier row again; one whose person or class is gone goes with them."""
        try:
            taking.take(self._found, before, Report())
        except Rejected as why:
            if why.code not in _GONE_WITH:
                self._report.refuse(why.code, before.file, field=before.get("sourcedId"))
                raise Refused from why
        else:
            self._keep(before)

    def _speaks_of(self, row: Row) -> None:
        self._told.add(row.get("userSourcedId") or row.get("sourcedId"))

    def _keep(self, row: Row) -> None:
        of_nobody = row.file == "demographics.csv" and row.get("sourcedId") not in self._found.users
        if self._keeper and not leaving(row) and not of_nobody:
            self._keeper.add(row)


def _check_row(row: Row, report: Report) -> None:
    if row.too_long:
        raise Rejected(None, "row-too-long")
    status = row.get("status").lower()
    if status or row.get("dateLastModified"):
        report.add(Severity.WARNING, "status-in-bulk", row.file, record=row.record, id=row.get("sourcedId"))
    if status not in ("", "active", "tobedeleted", "inactive"):
        raise Rejected("status", "value-unknown")
