"""The zip of a OneRoster package, opened with care: nothing is extracted, and every size has a bound."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.directory.importing.columns import FILES, IGNORED, MANIFEST
from services.directory.importing.report import Report, Severity


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a package may be, in bytes unless said otherwise."""

    archive: int = 512 * 1024 * 1024
    entries: int = 100
    """Entries of the archive."""
    unpacked: int = 2 * 1024 * 1024 * 1024
    ratio: int = 200
    """Unpacked size over packed size of one file; text packs 5 to 30 times, a bomb a thousand times."""
    line: int = 64 * 1024
    delta_rows: int = 200_000
    """Rows of one delta file; what changes more than this comes in bulk."""


class Refused(Exception):
    """The set is not fit to be read further; the report says why."""


BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
"""What a damaged or encrypted entry raises while it is read."""

_KNOWN = {name.lower(): name for name in (MANIFEST, *FILES, *IGNORED)}
_SMALL = 1024 * 1024


class Package:
    """An open package: which files it holds, and their bytes as a stream."""

    def __init__(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], limits: Limits) -> None:
        self._archive = archive
        self._entries = entries
        self.limits = limits

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def names(self) -> frozenset[str]:
        """The known files of the package, under the specification's names."""
        return frozenset(self._entries)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The unpacked bytes of a file; reading raises one of `BROKEN` when they are damaged."""
        with self._archive.open(self._entries[name]) as raw, io.BufferedReader(raw, 1 << 16) as buffered:  # type: ignore[type-var]
            yield buffered

    def size(self, name: str) -> int:
        """The unpacked size of a file, in bytes."""
        return self._entries[name].file_size


@contextmanager
def open_package(path: Path, report: Report, limits: Limits | None = None) -> Iterator[Package]:
    """Open a package; raises `Refused` after noting in the report what is wrong with it."""
    limits = limits or Limits()
    try:
        too_large = path.stat().st_size > limits.archive
        archive = None if too_large else zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        report.refuse("not-a-zip", path.name)
        raise Refused from error
    if archive is None:
        report.refuse("archive-too-large", path.name)
        raise Refused
    with archive:
        yield Package(archive, _entries(archive, report, limits, path.name), limits)


def _entries(archive: zipfile.ZipFile, report: Report, limits: Limits, name: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    infos = archive.infolist()
    if len(infos) > limits.entries:
        report.refuse("too-many-entries", name)
    elif sum(info.file_size for info in infos) > limits.unpacked:
        report.refuse("unpacked-too-large", name)
    else:
        for info in infos:
            _admit(info, found, report, limits)
    if report.refused:
        raise Refused
    return found


def _admit(info: zipfile.ZipInfo, found: dict[str, zipfile.ZipInfo], report: Report, limits: Limits) -> None:
    if info.filename.startswith("__MACOSX/"):
        return
    code = _fault(info, limits)
    if code:
        report.refuse(code, info.filename)
        return
    known = _KNOWN.get(info.filename.lower())
    if known is None:
        report.add(Severity.WARNING, "unknown-file", info.filename)
    elif known in found:
        report.refuse("file-twice", info.filename)
    else:
        if known != info.filename:
            report.add(Severity.WARNING, "file-name-case", info.filename)
        found[known] = info


def _fault(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    name = info.orig_filename
    rooted = name.startswith(("/", "\\")) or ".." in name or ":" in name
    faults = {
        "unsafe-path": rooted or "\0" in name or stat.S_ISLNK(info.external_attr >> 16),
        "nested-folder": info.is_dir() or "/" in name or "\\" in name,
        "encrypted": bool(info.flag_bits & 0x1),
        "compression": info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
        "bomb": info.file_size > _SMALL and info.file_size > limits.ratio * max(info.compress_size, 1),
    }
    return next((code for code, found in faults.items() if found), None)
