"""The manifest of a package: which files it says it brings, from which system."""

from __future__ import annotations

from dataclasses import dataclass

from services.directory.importing.columns import FILES, MANIFEST, NEEDED
from services.directory.importing.package import Package, Refused
from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import plain_rows

_MODES = ("absent", "bulk", "delta")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the manifest says; `source` is empty when it names no system."""

    source: str
    bulk: frozenset[str]
    """The files that are the whole of their kind."""
    delta: frozenset[str]
    """The files that change what was said before."""

    @property
    def files(self) -> frozenset[str]:
        """The data files to read; empty when the package brings nothing."""
        return self.bulk | self.delta


def read_manifest(package: Package, report: Report) -> Manifest:
    """Read the manifest and hold it against the files; raises `Refused` when the set is not complete."""
    if MANIFEST not in package:
        report.refuse("file-missing", MANIFEST)
        raise Refused
    properties = _properties(package, report)
    _check_version(properties, "manifest.version", "1.0", report)
    _check_version(properties, "oneroster.version", "1.2", report)
    modes = {name: _mode(name, properties, package, report) for name in FILES}
    delta = frozenset(name for name, mode in modes.items() if mode == "delta")
    bulk = frozenset(name for name, mode in modes.items() if mode in ("bulk", "unsaid"))
    for name in FILES:
        if delta and modes[name] == "unsaid":
            # Bulk would end whoever is not in it, delta would not: nobody can tell which was meant.
            report.refuse("mode-missing", MANIFEST, field=_key(name))
        elif bulk and not delta and name in NEEDED and name not in bulk:
            report.refuse("file-missing", name)
    if report.refused:
        raise Refused
    source = properties.get("source.systemCode") or properties.get("source.systemName") or ""
    return Manifest(source[:100], bulk, delta)


def _properties(package: Package, report: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for record, cells in enumerate(plain_rows(package, MANIFEST, report)):
        if record == 0:
            _check_header(cells, report)
            continue
        name, value = ([cell.strip() for cell in cells] + ["", ""])[:2]
        if name in found and found[name] != value:
            report.refuse("property-twice", MANIFEST, record=record, field=name)
        if name and not value and name.startswith("file."):
            report.add(Severity.WARNING, "value-empty", MANIFEST, record=record, field=name)
        if name:
            found[name] = value
    return found


def _check_header(cells: list[str], report: Report) -> None:
    header = [cell.strip() for cell in cells]
    if len(header) == 1 and ";" in header[0]:
        report.refuse("delimiter", MANIFEST, record=0)
        raise Refused
    if header[:2] != ["propertyName", "value"]:
        report.add(Severity.WARNING, "column-unknown", MANIFEST, record=0)


def _check_version(properties: dict[str, str], name: str, wanted: str, report: Report) -> None:
    value = properties.get(name, "")
    if value == wanted:
        return
    # Spreadsheets turn 1.0 into 1.
    if wanted == "1.0" and value in ("1", "1,0", ""):
        report.add(Severity.WARNING, "version", MANIFEST, field=name)
    else:
        report.refuse("version-not-supported", MANIFEST, field=name)


def _key(name: str) -> str:
    return f"file.{name.removesuffix('.csv')}"


def _mode(name: str, properties: dict[str, str], package: Package, report: Report) -> str:
    """How a file is to be read: absent, bulk, delta, or unsaid; where manifest and data disagree, the data wins."""
    said = properties.get(_key(name), "")
    mode = said.lower()
    if mode in _MODES and mode != said:
        report.add(Severity.WARNING, "value-case", MANIFEST, field=_key(name))
    brings = mode in ("bulk", "delta")
    if brings and name not in package:
        report.refuse("file-missing", name)
    elif not brings and name in package:
        report.add(Severity.WARNING, "manifest-differs", MANIFEST, field=_key(name))
        return "unsaid"
    return mode if brings else "absent"
