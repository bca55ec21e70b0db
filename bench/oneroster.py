"""Writing a OneRoster 1.2 bulk package, byte for byte the same from the same rows."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

from services.directory.importing.columns import FILES, IGNORED

_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackageWriter:
    """Collects rows by file and writes the zip; columns left out are empty."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._rows: dict[str, list[list[str]]] = {}

    def add(self, file: str, **values: str) -> None:
        """Add a row; `values` are cells by column name."""
        columns = FILES[file].columns
        unknown = values.keys() - set(columns)
        if unknown:
            raise ValueError(f"{file} has no column {sorted(unknown)}")
        self._rows.setdefault(file, []).append([values.get(column, "") for column in columns])

    def write(self, path: Path) -> None:
        """Write the package; the manifest says which files it brings."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            self._put(archive, "manifest.csv", [["propertyName", "value"], *self._manifest()])
            for file, rows in self._rows.items():
                self._put(archive, file, [list(FILES[file].columns), *rows])

    def _manifest(self) -> list[list[str]]:
        files = sorted(name.removesuffix(".csv") for name in (*FILES, *IGNORED))
        brought = [[f"file.{name}", "bulk" if f"{name}.csv" in self._rows else "absent"] for name in files]
        return [
            ["manifest.version", "1.0"],
            ["oneroster.version", "1.2"],
            *brought,
            ["source.systemName", self._system],
            ["source.systemCode", self._system],
        ]

    @staticmethod
    def _put(archive: zipfile.ZipFile, name: str, rows: list[list[str]]) -> None:
        info = zipfile.ZipInfo(name, _EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w") as raw, io.TextIOWrapper(raw, "utf-8", newline="") as text:
            csv.writer(text).writerows(rows)
