"""Writing a OneRoster 1.2 bulk package, byte for byte the same from the same rows."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from services.directory.importing.columns import FILES, IGNORED

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_IN_MEMORY = 1 << 20
"""Bytes of each file that wait in memory before they wait on disk."""


class PackageWriter:
    """Takes rows of any file in any order and writes the zip; columns left out are empty.

    A context: what waits on disk goes when it ends.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._stack = ExitStack()
        self._files: dict[str, _File] = {}

    def __enter__(self) -> PackageWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, file: str, **values: str) -> None:
        """Add a row; `values` are cells by column name."""
        if file not in self._files:
            self._files[file] = _File(file, self._stack)
        self._files[file].add(values)

    def write(self, path: Path) -> None:
        """Write the package; the manifest says which files it brings."""
        # Not deflated: the bytes would depend on whose zlib does it.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            manifest = io.StringIO(newline="")
            csv.writer(manifest).writerows([["propertyName", "value"], *self._manifest()])
            archive.writestr(_entry("manifest.csv"), manifest.getvalue())
            for name in FILES:
                if name in self._files:
                    with archive.open(_entry(name), "w") as entry:
                        self._files[name].copy(entry)

    def _manifest(self) -> list[list[str]]:
        files = sorted(name.removesuffix(".csv") for name in (*FILES, *IGNORED))
        brought = [[f"file.{name}", "bulk" if f"{name}.csv" in self._files else "absent"] for name in files]
        return [
            ["manifest.version", "1.0"],
            ["oneroster.version", "1.2"],
            *brought,
            ["source.systemName", self._system],
            ["source.systemCode", self._system],
        ]


class _File:
    """The rows of one file on their way."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self._name = name
        self._columns = FILES[name].columns
        self._known = frozenset(self._columns)
        self._raw = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - it is a context
        self._text = io.TextIOWrapper(self._raw, "utf-8", newline="")
        self._write = csv.writer(self._text).writerow
        self._write(self._columns)

    def add(self, values: dict[str, str]) -> None:
        """Add a row by column name."""
        if not values.keys() <= self._known:
            raise ValueError(f"{self._name} has no column {sorted(values.keys() - self._known)}")
        self._write([values.get(column, "") for column in self._columns])

    def copy(self, entry: IO[bytes]) -> None:
        """Append all of it to an open entry of the archive."""
        self._text.flush()
        self._raw.seek(0)
        shutil.copyfileobj(self._raw, entry, 1 << 20)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    return info
