"""Small OneRoster packages for tests: a sound one as rows that a test may spoil, written as a zip."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from contracts.envelope import new_id
from services.directory.importing.columns import FILES

UAI = "0921234S"
OTHER_UAI = "0920001S"
SOURCE = "test"

Cells = dict[str, str]


def sound() -> dict[str, list[Cells]]:
    """One school: a class and a group, two siblings, two parents, a relative, a guardian, a teacher, a head."""
    people = [
        ("head", "Françoise", "principal", ""),
        ("teacher", "Hélène", "teacher", ""),
        ("lea", "Léa", "student", "mum,dad"),
        ("noe", "Noé", "student", "mum,granny"),
        ("mum", "Amélie", "parent", ""),
        ("dad", "Côme", "parent", "lea"),
        ("granny", "Zélie", "relative", ""),
        ("carer", "Gaëlle", "guardian", "noe"),
    ]
    return {
        "orgs.csv": [{"sourcedId": "school", "name": "Collège Jean-Macé", "type": "school", "identifier": UAI}],
        "academicSessions.csv": [
            {"sourcedId": "year", "title": "2026-2027", "type": "schoolYear", "startDate": "2026-09-01",
             "endDate": "2027-08-01", "schoolYear": "2027"},
            {"sourcedId": "t1", "title": "1er trimestre", "type": "term", "startDate": "2026-09-01",
             "endDate": "2026-12-01", "parentSourcedId": "year", "schoolYear": "2027"},
        ],
        "courses.csv": [{"sourcedId": "maths", "title": "Mathématiques", "courseCode": "MATHS", "orgSourcedId": "school"}],
        "classes.csv": [
            {"sourcedId": "6e1", "title": "6e1", "courseSourcedId": "maths", "classType": "homeroom",
             "schoolSourcedId": "school", "termSourcedIds": "t1"},
            {"sourcedId": "6e1-m", "title": "6e1 maths", "courseSourcedId": "maths", "classType": "scheduled",
             "schoolSourcedId": "school", "termSourcedIds": "t1"},
        ],
        "users.csv": [
            {"sourcedId": id, "enabledUser": "true", "username": id, "givenName": given, "familyName": "Lefèvre",
             "email": f"{id}@exemple.invalid", "password": "hunter2", "agentSourcedIds": agents}
            for id, given, _, agents in people
        ],
        "roles.csv": [
            {"sourcedId": f"r-{id}", "userSourcedId": id, "roleType": "primary", "role": role, "orgSourcedId": "school"}
            for id, _, role, _ in people
        ],
        "enrollments.csv": [
            {"sourcedId": f"e-{n}", "classSourcedId": class_id, "schoolSourcedId": "school", "userSourcedId": user,
             "role": "teacher" if user == "teacher" else "student", "primary": "true" if user == "teacher" else ""}
            for n, (class_id, user) in enumerate((c, u) for c in ("6e1", "6e1-m") for u in ("lea", "noe", "teacher"))
        ],
        "demographics.csv": [{"sourcedId": "lea", "birthDate": "2015-03-14", "sex": "female"}],
    }  # fmt: skip


def row(rows: dict[str, list[Cells]], file: str, id: str) -> Cells:
    """The record of an id, to be changed in place."""
    return next(r for r in rows[file] if r["sourcedId"] == id)


def manifest(files: Iterable[str], mode: str = "bulk") -> list[list[str]]:
    """A manifest that announces these files."""
    return [
        ["propertyName", "value"],
        ["manifest.version", "1.0"],
        ["oneroster.version", "1.2"],
        *([f"file.{name.removesuffix('.csv')}", mode] for name in files),
        ["source.systemCode", SOURCE],
    ]


@dataclass
class Package:
    """The texts of a package's files; a test spoils them before it writes."""

    texts: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: dict[str, list[Cells]]) -> Package:
        """The package of these rows."""
        made = cls({"manifest.csv": text(manifest(rows))})
        for file, records in rows.items():
            columns = list(FILES[file].columns)
            made.texts[file] = text([columns, *([r.get(c, "") for c in columns] for r in records)])
        return made

    @classmethod
    def delta(cls, rows: dict[str, list[Cells]], at: str = "2026-11-20T06:00:00Z") -> Package:
        """The package of these rows as delta files; a row is active and of that time unless it says otherwise."""
        said = {
            file: [{"status": "active", "dateLastModified": at, **r} for r in records] for file, records in rows.items()
        }
        made = cls.of(said)
        made.texts["manifest.csv"] = text(manifest(rows, "delta"))
        return made

    def mode(self, file: str, old: str, new: str) -> Package:
        """Say another mode of a file in the manifest."""
        key = f"file.{file.removesuffix('.csv')}"
        return self.replace("manifest.csv", f"{key},{old}", f"{key},{new}")

    def replace(self, file: str, old: str, new: str) -> Package:
        """Replace text in a file; the old text must be there."""
        assert old.encode() in self.texts[file]
        self.texts[file] = self.texts[file].replace(old.encode(), new.encode())
        return self

    def write(self, folder: Path) -> Path:
        """Write the zip under a fresh name."""
        path = folder / f"{new_id()}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.texts.items():
                archive.writestr(name, content)
        return path


def gone(record: Cells) -> Cells:
    """The delta row that takes a record away."""
    return {**record, "status": "tobedeleted"}


def text(rows: Iterable[list[str]]) -> bytes:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
