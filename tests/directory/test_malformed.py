"""Malformed sets as they are met in the wild: what is refused, what is rejected, what is only noted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.directory.importing.package import Refused, open_package
from services.directory.importing.reading import read_set
from services.directory.importing.report import MAX_PROBLEMS, Report, Severity
from services.directory.importing.sets import SchoolSet
from tests.directory.packages import Package, manifest, row, sound, text

Spoil = Callable[[Package], object]
Rows = dict[str, list[dict[str, str]]]


def read(package: Package, folder: Path) -> tuple[SchoolSet | None, Report]:
    """Read a package; the set is None when it was refused."""
    report = Report()
    try:
        with open_package(package.write(folder), report) as opened:
            reading = read_set(opened, report)
            found = reading.found if reading else None
    except Refused:
        found = None
    return (None if report.refused else found), report


def without(file: str) -> Spoil:
    return lambda package: package.texts.pop(file)


def only_header(package: Package) -> None:
    package.texts["users.csv"] = package.texts["users.csv"].split(b"\r\n")[0] + b"\r\n"


def semicolons(package: Package) -> None:
    package.texts["users.csv"] = package.texts["users.csv"].replace(b",", b";")


def tabs(package: Package) -> None:
    package.texts["users.csv"] = package.texts["users.csv"].replace(b",", b"\t")


def manifest_semicolons(package: Package) -> None:
    package.texts["manifest.csv"] = package.texts["manifest.csv"].replace(b",", b";")


def latin(package: Package) -> None:
    package.texts["users.csv"] = package.texts["users.csv"].decode().encode("iso-8859-15")


def long_line(package: Package) -> None:
    package.texts["users.csv"] += b"a" * 100_000


def replaced(file: str, old: str, new: str) -> Spoil:
    return lambda package: package.replace(file, old, new)


def test_a_sound_set_has_no_problem(tmp_path: Path) -> None:
    found, report = read(Package.of(sound()), tmp_path)
    assert found is not None
    assert not report.problems
    assert len(found.users) == 8
    assert found.links == {"lea": {"mum": "parent", "dad": "parent"},
                           "noe": {"mum": "parent", "granny": "relative", "carer": "guardian"}}  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "code", "file", "field"),
    [
        (without("manifest.csv"), "file-missing", "manifest.csv", None),
        (without("users.csv"), "file-missing", "users.csv", None),
        (replaced("manifest.csv", "file.users,bulk", "file.users,delta"), "delta-without-base", "users.csv", None),
        (replaced("manifest.csv", "oneroster.version,1.2", "oneroster.version,1.1"), "version-not-supported",
         "manifest.csv", "oneroster.version"),
        (replaced("manifest.csv", "source.systemCode,test", "x,y"), "source-missing", "manifest.csv", "source.systemCode"),
        (replaced("users.csv", "givenName", "givenNaam"), "column-missing", "users.csv", "givenName"),
        (replaced("users.csv", "pronouns", "email"), "column-twice", "users.csv", "email"),
        (only_header, "file-empty", "users.csv", None),
        (semicolons, "delimiter", "users.csv", None),
        (latin, "not-utf-8", "users.csv", None),
        (long_line, "line-too-long", "users.csv", None),
        (replaced("users.csv", "Léa", '"Lé\na"'), "line-break-in-field", "users.csv", None),
        (replaced("users.csv", "Léa", '"Léa'), "csv-malformed", "users.csv", None),
        (replaced("users.csv", "Léa", '"Lé"a'), "csv-malformed", "users.csv", None),
        (replaced("users.csv", "\r\nmum,", "\r\nlea,"), "id-twice", "users.csv", "sourcedId"),
        (replaced("roles.csv", "r-mum,", "r-dad,"), "id-twice", "roles.csv", "sourcedId"),
        (replaced("enrollments.csv", "e-1,", "e-0,"), "id-twice", "enrollments.csv", "sourcedId"),
        (replaced("users.csv", "agentSourcedIds", "email"), "column-twice", "users.csv", "email"),
        (replaced("manifest.csv", "file.users,bulk", "file.users,bulk\r\nfile.users,absent"), "property-twice",
         "manifest.csv", "file.users"),
        (tabs, "delimiter", "users.csv", None),
        (manifest_semicolons, "delimiter", "manifest.csv", None),
    ],
)  # fmt: skip
def test_what_spoils_a_set_refuses_it(tmp_path: Path, spoil: Spoil, code: str, file: str, field: str | None) -> None:
    package = Package.of(sound())
    spoil(package)
    found, report = read(package, tmp_path)
    assert found is None
    assert (code, file, field) in {(p.code, p.file, p.field) for p in report.problems if p.severity is Severity.REFUSAL}


REJECTED = [
    ("orgs.csv", "school", "identifier", "92-1234", "uai-missing"),
    ("academicSessions.csv", "t1", "endDate", "01/12/2026", "date"),
    ("academicSessions.csv", "t1", "endDate", "2026-02-30", "date"),
    ("academicSessions.csv", "t1", "endDate", "2026-09-01", "dates-order"),
    ("academicSessions.csv", "t1", "schoolYear", "2026-2027", "year"),
    ("classes.csv", "6e1", "classType", "homeroon", "value-unknown"),
    ("classes.csv", "6e1", "schoolSourcedId", "elsewhere", "school-not-in-set"),
    ("classes.csv", "6e1", "termSourcedIds", "t9", "session-not-in-set"),
    ("users.csv", "lea", "familyName", "", "value-missing"),
    ("users.csv", "lea", "familyName", "x" * 256, "too-long"),
    ("users.csv", "lea", "familyName", "L\x00é", "control-character"),
    ("roles.csv", "r-lea", "role", "pupil", "value-unknown"),
    ("roles.csv", "r-lea", "beginDate", "1/9/2026", "date"),
    ("roles.csv", "r-lea", "userSourcedId", "ghost", "user-not-in-set"),
    ("enrollments.csv", "e-0", "classSourcedId", "ghost", "class-not-in-set"),
    ("enrollments.csv", "e-0", "userSourcedId", "ghost", "user-not-in-set"),
    ("enrollments.csv", "e-0", "role", "teacher", "role-differs"),
    ("enrollments.csv", "e-0", "userSourcedId", "teacher", "role-differs"),
    ("enrollments.csv", "e-0", "endDate", "2026/12/01", "date"),
    ("demographics.csv", "lea", "birthDate", "14/03/2015", "date"),
    ("users.csv", "lea", "status", "gone", "value-unknown"),
]


@pytest.mark.parametrize(("file", "id", "column", "value", "code"), REJECTED)
def test_what_spoils_a_record_rejects_it(
    tmp_path: Path, file: str, id: str, column: str, value: str, code: str
) -> None:
    rows = sound()
    row(rows, file, id)[column] = value
    _, report = read(Package.of(rows), tmp_path)
    assert (code, file, 1 if id == "school" else None) in {
        (p.code, p.file, p.record if id == "school" else None)
        for p in report.problems
        if p.severity is Severity.REJECTED
    }
    assert all("Lefèvre" not in str(p) and "Léa" not in str(p) for p in report.problems), "a report names nobody"


NOTED: list[tuple[Spoil, str]] = [
    (replaced("manifest.csv", "manifest.version,1.0", "manifest.version,1"), "version"),
    (replaced("manifest.csv", "propertyName,value", "propertyName,propertyValue"), "column-unknown"),
    (replaced("manifest.csv", "file.users,bulk", "file.users,"), "value-empty"),
    (replaced("manifest.csv", "file.users,bulk", "file.users,absent"), "manifest-differs"),
    (replaced("users.csv", "dateLastModified", "dateLastModifed"), "header-misspelt"),
    (replaced("users.csv", "preferredGivenName", "preferedGivenName"), "header-misspelt"),
    (replaced("users.csv", "pronouns", "pronom"), "column-unknown"),
    (replaced("users.csv", "pronouns", ""), "header-blank"),
    (replaced("users.csv", "givenName", "GivenName"), "header-case"),
    (replaced("users.csv", ",resourceSourcedIds", ",x"), "column-absent"),
    (replaced("users.csv", "pronouns\r\n", "pronouns,metadata.mef\r\n"), "row-too-short"),
    (replaced("roles.csv", "student", "Student"), "value-case"),
    (replaced("classes.csv", "scheduled", "Scheduled"), "value-case"),
    (replaced("enrollments.csv", "true", "TRUE"), "value-case"),
    (replaced("roles.csv", "r-lea,,", "r-lea,active,"), "status-in-bulk"),
    (replaced("users.csv", "lea@exemple.invalid", "lea"), "email"),
    (replaced("orgs.csv", "0921234S", "0921234A"), "uai-letter"),
    (replaced("classes.csv", "maths,,homeroom", "ghost,,homeroom"), "course-not-in-set"),
    (replaced("users.csv", '"mum,granny"', '"mum,ghost"'), "agent-not-in-set"),
    (replaced("users.csv", '"mum,granny"', '"mum,lea"'), "agent-not-family"),
    (replaced("users.csv", '"mum,granny"', '"mum,teacher"'), "agent-not-family"),
    (replaced("roles.csv", "r-granny,,", "r granny,,"), "id-characters"),
]


@pytest.mark.parametrize(("spoil", "code"), NOTED)
def test_what_is_unambiguous_is_taken_and_noted(tmp_path: Path, spoil: Spoil, code: str) -> None:
    package = Package.of(sound())
    spoil(package)
    found, report = read(package, tmp_path)
    assert found is not None
    assert code in {p.code for p in report.problems if p.severity is Severity.WARNING}
    assert len(found.users) == 8


def test_columns_in_another_order_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    rows = sound()
    package = Package.of(rows)
    columns = ["metadata.x", *reversed(package.texts["roles.csv"].decode().split("\r\n")[0].split(","))]
    records = [[r.get(c, "") for c in columns] for r in rows["roles.csv"]]
    package.texts["roles.csv"] = b"\xef\xbb\xbf" + text([columns, *records]).replace(b"\r\n", b"\n")
    found, report = read(package, tmp_path)
    assert found is not None
    assert set(report.codes) == {"column-order"}
    assert len(found.roles) == 8


def test_a_file_name_in_another_case_and_rows_that_stand_twice_are_taken_once(tmp_path: Path) -> None:
    rows = sound()
    for file in ("users.csv", "roles.csv", "enrollments.csv"):
        # Blanks around a cell say nothing.
        rows[file].append({name: f" {cell} " if cell else cell for name, cell in rows[file][0].items()})
    package = Package.of(rows)
    package.texts["Users.CSV"] = package.texts.pop("users.csv")
    found, report = read(package, tmp_path)
    assert found is not None
    assert report.codes == {"file-name-case": 1, "id-repeated": 3}
    assert len(found.users) == 8


def test_what_is_not_utf_8_is_named_with_its_file_and_row(tmp_path: Path) -> None:
    package = Package.of(sound())
    latin(package)
    _, report = read(package, tmp_path)
    assert [(p.code, p.file, p.record) for p in report.problems] == [("not-utf-8", "users.csv", 1)]


def test_the_lines_of_a_report_are_bounded_and_the_rest_is_counted() -> None:
    report = Report()
    for n in range(MAX_PROBLEMS + 7):
        report.add(Severity.WARNING, "email", "users.csv", record=n)
    report.refuse("id-twice", "users.csv")
    told = report.as_dict()
    assert len(told["problems"]) == MAX_PROBLEMS + 1
    assert told["problems_left_out"] == 7
    assert told["codes"] == {"email": MAX_PROBLEMS + 7, "id-twice": 1}


def test_nobody_is_tied_by_two_readings_or_to_themselves(tmp_path: Path) -> None:
    rows = sound()
    rows["roles.csv"] += [
        {**row(rows, "roles.csv", "r-lea"), "sourcedId": "r-mum-2", "userSourcedId": "mum"},
        {**row(rows, "roles.csv", "r-mum"), "sourcedId": "r-lea-2", "userSourcedId": "lea"},
    ]
    row(rows, "users.csv", "carer")["agentSourcedIds"] = "noe,carer"
    found, report = read(Package.of(rows), tmp_path)
    assert found is not None
    assert report.codes == {"agent-ambiguous": 1, "agent-not-family": 1}
    assert "mum" not in found.links["lea"]


def test_a_row_whose_cells_have_moved_is_rejected(tmp_path: Path) -> None:
    package = Package.of(sound()).replace("users.csv", "Léa,Lefèvre", "Léa,Le,fèvre")
    found, report = read(package, tmp_path)
    assert found is not None
    assert "lea" in found.unread
    assert report.codes["row-too-long"] == 1


def test_a_manifest_alone_changes_nothing(tmp_path: Path) -> None:
    found, report = read(Package({"manifest.csv": text(manifest([]))}), tmp_path)
    assert found is None
    assert not report.refused


def test_one_bad_row_rejects_what_hangs_on_it_and_no_more(tmp_path: Path) -> None:
    rows = sound()
    row(rows, "users.csv", "lea")["familyName"] = ""
    found, report = read(Package.of(rows), tmp_path)
    assert found is not None
    assert found.unread == {"lea"}
    assert found.users.keys() == {"head", "teacher", "noe", "mum", "dad", "granny", "carer"}
    assert report.counts["people"].rejected == 1
    assert report.counts["enrolments"].rejected == 2
