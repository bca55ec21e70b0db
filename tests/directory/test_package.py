"""Packages that are traps: refused before a row is read."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.directory.importing.package import Limits, Refused, open_package
from services.directory.importing.reading import read_set
from services.directory.importing.report import Report
from tests.directory.packages import Package, sound
from tests.directory.test_malformed import read

Write = Callable[[zipfile.ZipFile], object]


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("users.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def many(archive: zipfile.ZipFile) -> None:
    for n in range(101):
        archive.writestr(f"{n}.csv", "")


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("users.csv", "a")
    archive.writestr("Users.CSV", "b")


def locked(archive: zipfile.ZipFile) -> None:
    archive.writestr("users.csv", "x")
    archive.filelist[0].flag_bits |= 0x1


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda z: z.writestr("../users.csv", "x"), "unsafe-path"),
        (lambda z: z.writestr("/users.csv", "x"), "unsafe-path"),
        (lambda z: z.writestr("C:users.csv", "x"), "unsafe-path"),
        (lambda z: z.writestr("set/users.csv", "x"), "nested-folder"),
        (lambda z: z.writestr("set\\users.csv", "x"), "nested-folder"),
        (lambda z: z.mkdir("set"), "nested-folder"),
        (lambda z: z.writestr("users.csv", b"a" * 4_000_000), "bomb"),
        (lambda z: z.writestr("users.csv", b"a", zipfile.ZIP_BZIP2), "compression"),
        (link, "unsafe-path"),
        (locked, "encrypted"),
        (many, "too-many-entries"),
        (twice, "file-twice"),
    ],
)
def test_a_trap_is_refused(tmp_path: Path, write: Write, code: str) -> None:
    path = tmp_path / "trap.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    report = Report()
    with pytest.raises(Refused), open_package(path, report):
        pass
    assert report.refused
    assert set(report.codes) == {code}


def test_sizes_have_bounds(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("users.csv", b"a" * 1000)
    for limits, code in ((Limits(archive=100), "archive-too-large"), (Limits(unpacked=999), "unpacked-too-large")):
        report = Report()
        with pytest.raises(Refused), open_package(path, report, limits):
            pass
        assert set(report.codes) == {code}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"sourcedId,name\r\n"])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.zip"
    path.write_bytes(content)
    report = Report()
    with pytest.raises(Refused), open_package(path, report):
        pass
    assert set(report.codes) == {"not-a-zip"}


def test_a_file_nobody_asked_for_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "more.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.zip", b"PK")
        archive.writestr("__MACOSX/._users.csv", b"x")
    report = Report()
    with open_package(path, report) as package:
        assert package.names == frozenset()
    assert dict(report.codes) == {"unknown-file": 1}


def test_a_zip_inside_a_zip_is_not_read_as_a_file(tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("users.csv", "a")
    found, report = read(Package({"manifest.csv": b"", "set.zip": inner.read_bytes()}), tmp_path)
    assert found is None
    assert report.codes["unknown-file"] == 1


def damaged_crc(content: bytes) -> bytes:
    at = content.index(b"Mathmatiks")
    return content[:at] + b"Mathmatikz" + content[at + 10 :]


def lying_size(content: bytes) -> bytes:
    """The central directory says that the file is a byte long."""
    at = content.index(b"PK\x01\x02", content.index(b"courses.csv") + 1)
    while content[at + 46 : at + 57] != b"courses.csv":
        at = content.index(b"PK\x01\x02", at + 1)
    return content[: at + 24] + (40).to_bytes(4, "little") + content[at + 28 :]


@pytest.mark.parametrize(
    ("damage", "code", "file"),
    [
        (lambda content: content[: len(content) // 2], "not-a-zip", None),
        (damaged_crc, "damaged", "courses.csv"),
        (lying_size, "damaged", "courses.csv"),
    ],
)
def test_a_damaged_package_is_refused(
    tmp_path: Path, damage: Callable[[bytes], bytes], code: str, file: str | None
) -> None:
    rows = sound()
    rows["courses.csv"][0]["title"] = "Mathmatiks"
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in Package.of(rows).texts.items():
            archive.writestr(name, content)
    path.write_bytes(damage(path.read_bytes()))
    report = Report()
    with pytest.raises(Refused), open_package(path, report) as package:
        read_set(package, report)
    assert [(p.code, p.file) for p in report.problems] == [(code, file or path.name)]
