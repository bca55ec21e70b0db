"""Delta files: laid over what the source said before, refused where nobody can tell what they mean."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from chassis.database import Database
from contracts.directory import GroupChanged, LinkKind, PersonChanged, group_key, person_key
from services.directory import store
from services.directory.documents import holds
from services.directory.importing import memory
from services.directory.importing.identity import group_id, person_id
from services.directory.importing.package import Refused, open_package
from services.directory.importing.past import Past, unpacked
from services.directory.importing.reading import read_set
from services.directory.importing.report import Report, Severity
from tests.directory.conftest import Import
from tests.directory.packages import OTHER_UAI, SOURCE, Cells, Package, gone, row, sound
from tests.directory.test_import import DAD, MUM, done, ends, everything, owed, person, stored

PARENTS = ("parent",)


def cells(file: str, id: str, **changed: str) -> Cells:
    """A record of the sound set with other values."""
    return {**row(sound(), file, id), **changed}


def today() -> date:
    return datetime.now(ZoneInfo("Europe/Paris")).date()


def open_links(pupil: PersonChanged) -> set[object]:
    return {link.person for link in pupil.guardians if holds(link, today())}


def now(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_what_a_delta_does_not_name_stays(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    before = dict(await everything(directory))
    mae: Cells = {"sourcedId": "mae", "enabledUser": "true", "givenName": "Maé", "familyName": "Lefèvre",
                  "agentSourcedIds": "mum"}  # fmt: skip
    report = await load(
        Package.delta(
            {
                "users.csv": [mae, cells("users.csv", "dad", email="new@exemple.invalid")],
                "roles.csv": [cells("roles.csv", "r-lea", sourcedId="r-mae", userSourcedId="mae")],
                "enrollments.csv": [cells("enrollments.csv", "e-0", sourcedId="e-mae", userSourcedId="mae")],
            },
            now(),
        ),
        authority=PARENTS,
    )
    assert not report.codes
    assert done(report, "read") == {"people": 2, "roles": 1, "enrolments": 1, "links": 2}
    assert done(report, "created") == {"people": 1}
    assert done(report, "changed") == {"people": 1}
    assert not done(report, "detached")
    new = await person(directory, "mae")
    assert [(link.person, link.kind) for link in new.guardians] == [(MUM, LinkKind.LEGAL_GUARDIAN)]
    assert [m.group for m in new.memberships] == [group_id(SOURCE, "6e1", 2027)]
    after = dict(await everything(directory))
    changed = {key for key in after if before.get(key) != after[key]}
    assert changed == {person_key(person_id(SOURCE, id)) for id in ("mae", "dad")}


@pytest.mark.parametrize("status", ["tobedeleted", "inactive", "toBeDeleted"])
async def test_a_deleted_person_leaves_at_once_and_returns_as_the_same(
    directory: Database, load: Import, status: str
) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    leaving = {"users.csv": [cells("users.csv", "dad", status=status), cells("users.csv", "teacher", status=status)]}
    report = await load(Package.delta(leaving, now(hours=2)), authority=PARENTS)
    assert open_links(await person(directory, "lea")) == {MUM}
    assert None not in ends(await person(directory, "dad"))
    home = await stored(directory, group_key(group_id(SOURCE, "6e1", 2027)))
    assert isinstance(home, GroupChanged)
    assert not home.form_teachers
    assert not any(holds(t, today()) for t in home.teachers)
    assert done(report, "detached") == {"people": 2}
    back = sound()
    returns = {
        "users.csv": [row(back, "users.csv", "dad")],
        "roles.csv": [row(back, "roles.csv", "r-dad")],
    }
    await load(Package.delta(returns, now(hours=1)), authority=PARENTS)
    assert open_links(await person(directory, "lea")) == {MUM, DAD}
    assert None in ends(await person(directory, "dad"))


async def test_deleting_a_role_an_enrolment_or_a_class_ends_it(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    await load(
        Package.delta(
            {
                "classes.csv": [gone(cells("classes.csv", "6e1-m"))],
                "roles.csv": [gone(cells("roles.csv", "r-dad"))],
                "enrollments.csv": [gone(cells("enrollments.csv", "e-0"))],
            },
            now(),
        ),
        authority=PARENTS,
    )
    lea, noe = await person(directory, "lea"), await person(directory, "noe")
    home, other = (group_id(SOURCE, id, 2027) for id in ("6e1", "6e1-m"))
    assert not [m for m in lea.memberships if holds(m, today())]
    assert {m.group for m in noe.memberships if holds(m, today())} == {home}
    assert open_links(lea) == {MUM}
    ended = await stored(directory, group_key(other))
    assert isinstance(ended, GroupChanged)
    assert ended.ended


async def test_an_enrolment_that_moves_to_another_class_leaves_the_first(directory: Database, load: Import) -> None:
    rows = sound()
    rows["enrollments.csv"] = [r for r in rows["enrollments.csv"] if r["sourcedId"] != "e-3"]
    await load(Package.of(rows))
    await load(Package.delta({"enrollments.csv": [cells("enrollments.csv", "e-0", classSourcedId="6e1-m")]}, now()))
    lea = await person(directory, "lea")
    assert {m.group for m in lea.memberships if holds(m, today())} == {group_id(SOURCE, "6e1-m", 2027)}


async def test_the_same_delta_twice_changes_nothing_and_an_older_one_is_refused(
    directory: Database, load: Import
) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    first = Package.delta({"users.csv": [cells("users.csv", "dad", phone="0102030405")]}, now(hours=3))
    second = Package.delta(
        {"users.csv": [cells("users.csv", "dad", phone="0607080910"), gone(cells("users.csv", "carer"))]}, now(hours=2)
    )
    await load(first, authority=PARENTS)
    await load(second, authority=PARENTS)
    before, events = await everything(directory), await owed(directory)
    again = await load(second, authority=PARENTS)
    assert not again.refused
    assert again.codes == {"delete-unknown": 1}
    assert await owed(directory) == events
    old = await load(first, authority=PARENTS)
    assert old.refused
    assert old.codes == {"older-than-last": 1}
    assert await everything(directory) == before
    await load(Package.of(sound()), authority=PARENTS)
    assert (await load(first, authority=PARENTS)).codes == {"older-than-last": 1}, "a bulk set does not forget the time"


async def test_a_set_of_last_week_is_noted(load: Import) -> None:
    await load(Package.of(sound()))
    report = await load(Package.delta({"users.csv": [cells("users.csv", "dad")]}, now(days=8)))
    assert report.codes == {"set-old": 1}
    assert not report.refused


REJECTED: list[tuple[str, str, str]] = [
    ("status", "", "value-missing"),
    ("status", "deleted", "value-unknown"),
    ("dateLastModified", "", "value-missing"),
    ("dateLastModified", "20/11/2026", "datetime"),
    ("dateLastModified", "2026-11-20", "datetime"),
    ("dateLastModified", "2026-11-20T06:00:00", "datetime"),
    ("dateLastModified", "2999-01-01T00:00:00Z", "datetime-ahead"),
    ("sourcedId", "", "value-missing"),
    ("familyName", "", "value-missing"),
]


async def test_a_rejected_delta_row_leaves_what_was_there(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    before = await everything(directory)
    for column, value, code in REJECTED:
        report = await load(Package.delta({"users.csv": [cells("users.csv", "lea", phone="1", **{column: value})]}))
        assert [(p.code, p.severity, p.field) for p in report.problems] == [(code, Severity.REJECTED, column)]
        assert report.counts["people"].rejected == 1
        assert await everything(directory) == before


Spoil = Callable[[Package], object]
REFUSED: list[tuple[Spoil, str, str]] = [
    (lambda p: p.replace("users.csv", ",status", ",stat"), "column-missing", "users.csv"),
    (lambda p: p.replace("users.csv", "dateLastModified", "modified"), "column-missing", "users.csv"),
    (lambda p: p.mode("roles.csv", "delta", "absent"), "mode-missing", "manifest.csv"),
    (lambda p: p.mode("roles.csv", "delta", ""), "mode-missing", "manifest.csv"),
    (lambda p: p.texts.pop("roles.csv"), "file-missing", "roles.csv"),
    (lambda p: p.replace("users.csv", "carer,active", "dad,active"), "id-twice", "users.csv"),
]


@pytest.mark.parametrize(("spoil", "code", "file"), REFUSED)
async def test_a_delta_nobody_can_read_one_way_is_refused(
    directory: Database, load: Import, spoil: Spoil, code: str, file: str
) -> None:
    await load(Package.of(sound()))
    before = await everything(directory)
    package = Package.delta(
        {"users.csv": [cells("users.csv", "dad"), cells("users.csv", "carer")],
         "roles.csv": [cells("roles.csv", "r-dad")]}
    )  # fmt: skip
    spoil(package)
    report = await load(package)
    assert report.refused
    assert (code, file) in {(p.code, p.file) for p in report.problems if p.severity is Severity.REFUSAL}
    assert await everything(directory) == before


async def test_a_mixed_set_is_taken_file_by_file(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    enrolments = [r for r in sound()["enrollments.csv"] if r["userSourcedId"] != "noe"]
    package = Package.delta({"users.csv": [gone(cells("users.csv", "dad"))]}, now())
    bulk = Package.of({"enrollments.csv": enrolments})
    package.texts["enrollments.csv"] = bulk.texts["enrollments.csv"]
    package.texts["manifest.csv"] += b"file.enrollments,bulk\r\n"
    report = await load(package, authority=PARENTS)
    assert not report.refused
    assert open_links(await person(directory, "lea")) == {MUM}
    assert len([m for m in (await person(directory, "lea")).memberships if holds(m, today())]) == 2
    assert not [m for m in (await person(directory, "noe")).memberships if holds(m, today())]


async def test_a_bulk_file_of_schools_beside_deltas_leaves_none_out(load: Import) -> None:
    await load(Package.of(sound()))
    package = Package.delta({"orgs.csv": [cells("orgs.csv", "school", identifier=OTHER_UAI)]})
    package.mode("orgs.csv", "delta", "bulk").replace("orgs.csv", "active,2026-11-20T06:00:00Z", ",")
    package.texts["users.csv"] = Package.delta({"users.csv": [cells("users.csv", "dad")]}).texts["users.csv"]
    package.texts["manifest.csv"] += b"file.users,delta\r\n"
    report = await load(package)
    assert report.codes["school-left-out"] == 1
    assert report.refused


async def test_what_contradicts_itself_is_refused_and_schools_do_not_end_by_a_file(
    directory: Database, load: Import
) -> None:
    await load(Package.of(sound()))
    before = await everything(directory)
    report = await load(Package.delta({"academicSessions.csv": [gone(cells("academicSessions.csv", "t1"))]}))
    assert [(p.code, p.file, p.field) for p in report.problems] == [("session-not-in-set", "classes.csv", "6e1")]
    assert report.refused
    report = await load(Package.delta({"orgs.csv": [gone(cells("orgs.csv", "school"))]}))
    assert report.codes["org-delete-skipped"] == 1
    assert await everything(directory) == before


async def test_only_a_bulk_set_moves_everybodys_rights(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    before = await everything(directory)
    report = await load(Package.delta({"users.csv": [cells("users.csv", "dad")]}))
    assert report.codes == {"authority-differs": 1}
    assert await everything(directory) == before


async def test_a_delta_after_rejections_and_sets_of_other_schools_ends_nothing_else(
    directory: Database, load: Import
) -> None:
    await load(Package.of(sound()), authority=PARENTS)
    spoiled = sound()
    row(spoiled, "roles.csv", "r-lea")["beginDate"] = "1/9/2026"
    row(spoiled, "users.csv", "dad")["familyName"] = ""
    row(spoiled, "enrollments.csv", "e-1")["endDate"] = "x"
    await load(Package.of(spoiled), authority=PARENTS)
    other = copy.deepcopy(sound())
    other["orgs.csv"] = [cells("orgs.csv", "school", sourcedId="other", identifier=OTHER_UAI)]
    other["classes.csv"] = [cells("classes.csv", "6e1", sourcedId="o-6e1", schoolSourcedId="other")]
    other["users.csv"] = [cells("users.csv", "teacher")]
    other["roles.csv"] = [cells("roles.csv", "r-teacher", sourcedId="r-o", orgSourcedId="other")]
    other["enrollments.csv"] = [cells("enrollments.csv", "e-2", sourcedId="e-o", classSourcedId="o-6e1")]
    del other["demographics.csv"]
    assert not (await load(Package.of(other), authority=PARENTS)).refused
    before = dict(await everything(directory))
    report = await load(Package.delta({"users.csv": [cells("users.csv", "mum", phone="1")]}, now()), authority=PARENTS)
    after = dict(await everything(directory))
    assert not report.codes
    assert {key for key in after if before[key] != after[key]} == {person_key(MUM)}


async def test_a_dry_run_of_a_delta_tells_the_same_and_writes_nothing(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    before = await everything(directory)
    package = Package.delta({"users.csv": [gone(cells("users.csv", "dad"))]})
    dry = await load(package, dry_run=True)
    assert await everything(directory) == before
    real = await load(package)
    assert (dry.counts, dry.changes, dry.problems) == (real.counts, real.changes, real.problems)


async def test_who_is_erased_is_forgotten_by_the_rows_too(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    async with directory.transaction() as connection:
        await memory.forget(connection, SOURCE, DAD)
    report: Report = await load(Package.delta({"roles.csv": [gone(cells("roles.csv", "r-dad"))]}, now()))
    assert report.codes["delete-unknown"] == 1
    async with directory.connection() as connection:
        packed = await store.source_parts(connection, SOURCE)
    assert packed.keys() >= {"users.csv", "roles.csv"}


async def test_rows_that_changed_meanwhile_are_read_again(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    past = await memory.recall(directory, SOURCE)
    await load(Package.delta({"users.csv": [cells("users.csv", "dad", phone="1")]}))
    report = Report()
    async with directory.connection() as connection:
        with pytest.raises(Refused):
            await memory.check(connection, SOURCE, past, report)
    assert report.codes == {"changed-meanwhile": 1}


def test_nothing_is_remembered_that_is_not_read(tmp_path: Path) -> None:
    rows = sound()
    for record in rows["demographics.csv"]:
        record.update(asian="true", cityOfBirth="Lyon")
    with open_package(Package.of(rows).write(tmp_path), report := Report()) as package:
        reading = read_set(package, report, Past())
    assert reading is not None
    assert reading.parts is not None
    kept = [row for file in reading.parts for row in unpacked(reading.parts, file)]
    assert len(kept) == sum(len(records) for records in rows.values())
    words = {cell for row in kept for cell in row.cells.values()}
    assert "Amélie" in words
    assert not words & {"hunter2", "Lyon", "female"}
    assert not any("asian" in row.cells for row in kept)
