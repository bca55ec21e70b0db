"""Imports into a real PostgreSQL: what is stored, what is owed to Kafka, what stays."""

from __future__ import annotations

import copy
import random
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bench.schools import write_schools
from chassis.database import Database
from contracts.directory import (
    GroupChanged,
    GroupKind,
    LinkKind,
    PersonChanged,
    RoleName,
    SchoolChanged,
    group_key,
    person_key,
    school_key,
)
from services.directory import store
from services.directory.importing.identity import group_id, person_id
from services.directory.importing.report import Report
from services.directory.importing.usecase import Options, import_oneroster
from services.directory.store import Entity
from tests.directory.conftest import Import
from tests.directory.packages import OTHER_UAI, SOURCE, UAI, Package, row, sound

MUM, DAD, GRANNY, CARER = (person_id(SOURCE, id) for id in ("mum", "dad", "granny", "carer"))


async def person(database: Database, id: str) -> PersonChanged:
    """The stored document of a user."""
    found = await stored(database, person_key(person_id(SOURCE, id)))
    assert isinstance(found, PersonChanged)
    return found


async def stored(database: Database, key: str) -> object:
    """The stored document of a key."""
    async with database.connection() as connection:
        return (await store.load(connection, [key]))[key].document


async def everything(database: Database) -> list[tuple[str, str]]:
    """Every stored document."""
    async with database.connection() as connection:
        return [(r["key"], r["body"]) for r in await connection.fetch("SELECT key, body FROM entities ORDER BY key")]


async def owed(database: Database) -> list[tuple[int, str]]:
    """What is owed to Kafka: (sequence, key)."""
    async with database.connection() as connection:
        return [(r["id"], r["key"]) for r in await connection.fetch("SELECT id, key FROM outbox ORDER BY id")]


def done(report: Report, what: str) -> dict[str, int]:
    """Counts above zero of one outcome, by kind."""
    return {kind: n for kind, counts in report.counts.items() if (n := getattr(counts, what))}


def ends(person: PersonChanged) -> list[date | None]:
    """When each role, membership and link ends."""
    return [
        *(part.ends for part in person.roles),
        *(part.ends for part in person.memberships),
        *(part.ends for part in person.guardians),
    ]


async def by_hand(database: Database, document: Any) -> None:
    """Store a document as a hand would."""
    async with database.transaction() as connection:
        await store.lock_writers(connection)
        known = (await store.load(connection, [Entity(document).key])).get(Entity(document).key)
        entity = Entity(document, source=known.source if known else None, stated=known.stated if known else None)
        await store.save(connection, [entity])


async def test_a_set_becomes_documents(directory: Database, load: Import) -> None:
    report = await load(Package.of(sound()), authority=("parent",))
    assert done(report, "created") == {"schools": 1, "groups": 2, "people": 8}
    school = await stored(directory, school_key(UAI))
    assert isinstance(school, SchoolChanged)
    assert [y.year for y in school.school_years] == [2027]
    assert [t.title for t in school.terms] == ["1er trimestre"]
    lea, noe = await person(directory, "lea"), await person(directory, "noe")
    assert {link.person: link.kind for link in lea.guardians} == dict.fromkeys((MUM, DAD), LinkKind.LEGAL_GUARDIAN)
    assert {link.person: link.kind for link in noe.guardians} == {
        MUM: LinkKind.LEGAL_GUARDIAN, GRANNY: LinkKind.CONTACT, CARER: LinkKind.PERSON_IN_CHARGE,
    }  # fmt: skip
    assert [r.name for r in lea.roles] == [RoleName.PUPIL]
    assert len(lea.memberships) == 2
    assert str(lea.birth_date) == "2015-03-14"
    home = await stored(directory, group_key(group_id(SOURCE, "6e1", 2027)))
    other = await stored(directory, group_key(group_id(SOURCE, "6e1-m", 2027)))
    assert isinstance(home, GroupChanged)
    assert isinstance(other, GroupChanged)
    teacher = person_id(SOURCE, "teacher")
    assert (home.kind, home.form_teachers, other.form_teachers) == (GroupKind.CLASS, [teacher], [])
    assert other.teachers[0].subject is not None
    assert other.teachers[0].subject.code == "MATHS"
    events = await owed(directory)
    assert report.position == events[-1][0]
    assert {key for _, key in events} == {key for key, _ in await everything(directory)}
    assert all("hunter2" not in body for _, body in await everything(directory))


async def test_nobody_holds_authority_unless_the_school_says_so(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    kinds = {link.kind for id in ("lea", "noe") for link in (await person(directory, id)).guardians}
    assert kinds == {LinkKind.CONTACT, LinkKind.PERSON_IN_CHARGE}


async def test_the_same_set_twice_changes_and_publishes_nothing(directory: Database, load: Import) -> None:
    first = await load(Package.of(sound()))
    before = await owed(directory)
    rows = sound()
    chance = random.Random(1)
    for records in rows.values():
        chance.shuffle(records)
    second = await load(Package.of(rows))
    assert await owed(directory) == before
    assert second.position == first.position
    assert done(second, "unchanged") == done(first, "created")


async def test_a_dry_run_tells_the_same_and_writes_nothing(directory: Database, load: Import) -> None:
    dry = await load(Package.of(sound()), dry_run=True)
    assert not await everything(directory)
    real = await load(Package.of(sound()))
    assert dry.counts == real.counts
    assert dry.changes == real.changes
    assert (dry.position, dry.problems) == (None, real.problems)


async def test_a_refused_set_writes_nothing(directory: Database, load: Import) -> None:
    report = await load(Package.of(sound()).replace("enrollments.csv", "userSourcedId", "user"))
    assert report.refused
    assert not await everything(directory)
    assert not await owed(directory)


async def test_who_is_no_longer_named_is_detached_and_may_return(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=("parent",))
    rows = sound()
    for file, field in (
        ("users.csv", "sourcedId"),
        ("roles.csv", "userSourcedId"),
        ("enrollments.csv", "userSourcedId"),
    ):
        rows[file] = [r for r in rows[file] if r[field] not in ("lea", "dad")]
    del rows["demographics.csv"]
    report = await load(Package.of(rows), authority=("parent",))
    assert done(report, "detached") == {"people": 2}
    lea = await person(directory, "lea")
    assert len(ends(lea)) == 5
    assert None not in ends(lea)
    assert not lea.ended
    events = await owed(directory)
    again = await load(Package.of(rows), authority=("parent",))
    assert not done(again, "detached")
    assert await owed(directory) == events
    await load(Package.of(sound()), authority=("parent",))
    lea = await person(directory, "lea")
    assert set(ends(lea)) == {None}


async def test_a_group_no_longer_named_ends(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    rows = sound()
    rows["classes.csv"] = rows["classes.csv"][:1]
    rows["enrollments.csv"] = [r for r in rows["enrollments.csv"] if r["classSourcedId"] == "6e1"]
    report = await load(Package.of(rows))
    assert done(report, "detached") == {"groups": 1}
    gone = await stored(directory, group_key(group_id(SOURCE, "6e1-m", 2027)))
    assert isinstance(gone, GroupChanged)
    assert gone.ended


async def test_what_was_entered_by_hand_stays(directory: Database, load: Import) -> None:
    hand = PersonChanged(id=UUID(int=7), given_name="Éva", family_name="Faÿ", roles=[])
    await by_hand(directory, hand)
    await load(Package.of(sound()), authority=("parent",))
    lea = await person(directory, "lea")
    # A judge has decided: the father's right is withdrawn, and the head corrects a name.
    await by_hand(directory, lea.model_copy(update={"guardians": [g for g in lea.guardians if g.person != DAD],
                                                    "given_name": "Léa-Rose"}))  # fmt: skip
    rows = sound()
    row(rows, "users.csv", "lea")["phone"] = "0102030405"
    report = await load(Package.of(rows), authority=("parent",))
    after = await person(directory, "lea")
    assert {g.person for g in after.guardians} == {MUM}
    assert (after.given_name, after.phone) == ("Léa-Rose", "0102030405")
    assert not report.codes
    report = await load(Package.of(rows))
    assert {g.person for g in (await person(directory, "lea")).guardians} == {MUM}
    assert report.codes == {"kept-by-hand": 1}
    assert await stored(directory, person_key(hand.id)) == hand


async def test_other_schools_and_other_sources_are_untouched(directory: Database, load: Import) -> None:
    await load(Package.of(sound()))
    rows = sound()
    rows["orgs.csv"] = [{"sourcedId": "school", "name": "Autre", "type": "school", "identifier": OTHER_UAI}]
    rows["classes.csv"][0]["sourcedId"] = "5e1"
    rows["classes.csv"] = rows["classes.csv"][:1]
    rows["users.csv"] = [r for r in rows["users.csv"] if r["sourcedId"] in ("teacher", "head")]
    rows["roles.csv"] = [r for r in rows["roles.csv"] if r["userSourcedId"] in ("teacher", "head")]
    rows["enrollments.csv"] = [{**rows["enrollments.csv"][2], "classSourcedId": "5e1"}]
    del rows["demographics.csv"]
    report = await load(Package.of(rows))
    assert not done(report, "detached")
    teacher = await person(directory, "teacher")
    assert {r.uai for r in teacher.roles} == {UAI, OTHER_UAI}
    other = Package.of(sound()).replace("manifest.csv", "systemCode,test", "systemCode,elsewhere")
    other.replace("orgs.csv", UAI, OTHER_UAI)
    report = await load(other)
    assert not done(report, "detached")
    assert {r.uai for r in (await person(directory, "teacher")).roles} == {UAI, OTHER_UAI}


async def test_a_rejected_row_takes_nothing_away(directory: Database, load: Import) -> None:
    await load(Package.of(sound()), authority=("parent",))
    before = await everything(directory)
    rows = sound()
    row(rows, "users.csv", "lea")["familyName"] = ""
    row(rows, "enrollments.csv", "e-1")["beginDate"] = "1/9/2026"
    row(rows, "roles.csv", "r-granny")["endDate"] = "x"
    row(rows, "users.csv", "dad")["givenName"] = "x" * 300
    row(rows, "users.csv", "noe")["agentSourcedIds"] = "mum,granny"
    row(rows, "users.csv", "carer")["phone"] = "x" * 300
    row(rows, "classes.csv", "6e1-m")["title"] = ""
    row(rows, "academicSessions.csv", "t1")["title"] = ""
    report = await load(Package.of(rows), authority=("parent",))
    assert not report.refused
    assert await everything(directory) == before


async def test_a_guardian_not_in_the_set_is_pending(directory: Database, load: Import) -> None:
    rows = copy.deepcopy(sound())
    row(rows, "users.csv", "noe")["agentSourcedIds"] = "mum,ghost"
    report = await load(Package.of(rows))
    assert report.counts["links"].pending == 1
    assert person_key(person_id(SOURCE, "ghost")) not in dict(await everything(directory))


async def test_a_set_cut_short_does_not_empty_a_school(directory: Database, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.zip", tmp_path / "cut.zip"
    write_schools(whole, 108)
    write_schools(cut, 20)
    assert not (await import_oneroster(directory, whole, Options())).refused
    before = await everything(directory)
    report = await import_oneroster(directory, cut, Options())
    assert report.refused
    assert report.needs_confirmation
    figures = {(d.kind, d.lost, d.of) for d in report.detaching if d.refused}
    assert {("pupil", 88, 108), ("class", 88, 108)} <= figures
    assert await everything(directory) == before
    dry = await import_oneroster(directory, cut, Options(dry_run=True))
    assert dry.detaching == report.detaching
    confirmed = await import_oneroster(directory, cut, Options(detach_share=1))
    assert not confirmed.refused
    assert confirmed.counts["people"].detached > 88


def test_authority_is_one_of_the_family_roles() -> None:
    with pytest.raises(ValueError, match="not a family role: teacher"):
        Options(authority=("teacher",))


async def test_the_very_package_again_is_answered_from_its_report(directory: Database, tmp_path: Path) -> None:
    path = Package.of(sound()).write(tmp_path)
    first = await import_oneroster(directory, path, Options(authority=("parent",)))
    again = await import_oneroster(directory, path, Options(authority=("parent",)))
    in_full = await import_oneroster(directory, path, Options(authority=("parent",), in_full=True))
    assert again.as_dict() == in_full.as_dict()
    assert again.counts["people"].unchanged == first.counts["people"].created > 0
    other = await import_oneroster(directory, path, Options(authority=()))
    assert other.counts["people"].changed > 0
