"""A school of 500 pupils comes in as a OneRoster file, and a grade of it reaches exactly the right families."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bench.schools import write_schools
from cli.demo.client import Api, session
from cli.demo.notes import Notes
from cli.demo.reader import Reader
from cli.demo_school import current_school_year
from infra.local.home import CHECKOUT
from infra.local.processes import wait_until
from services.directory.importing.identity import person_id
from tests.directory.packages import SOURCE, Package
from tests.platform import Login, Platform

SYSTEM = "five-hundred"
PUPILS = 500
FAMILIES_GRADED, FAMILIES_BESIDE = 6, 6


@dataclass(frozen=True)
class Families:
    """The file as its rows tell it, read without any code of the import."""

    rows: dict[str, list[dict[str, str]]]

    @property
    def parents(self) -> set[str]:
        """Those with the role parent."""
        return {row["userSourcedId"] for row in self.rows["roles.csv"] if row["role"] == "parent"}

    def agents(self, pupil: str) -> list[str]:
        """The adults of a pupil."""
        row = next(row for row in self.rows["users.csv"] if row["sourcedId"] == pupil)
        return [agent for agent in row["agentSourcedIds"].split(",") if agent]

    def members(self, class_id: str, role: str) -> list[str]:
        """Who is enrolled in a class in a role."""
        rows = self.rows["enrollments.csv"]
        return [r["userSourcedId"] for r in rows if r["classSourcedId"] == class_id and r["role"] == role]


@pytest.fixture(scope="module")
def families(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Families:
    path = tmp_path_factory.mktemp("import") / "school.zip"
    write_schools(path, PUPILS, school_year=current_school_year(platform.school_day()), system=SYSTEM)
    report = imported(platform, path)
    assert report["refused"] is False
    again = imported(platform, path)
    assert again["counts"]["people"]["created"] == again["counts"]["people"].get("changed", 0) == 0
    return Families(rows_of(path))


def imported(platform: Platform, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli", "import", "oneroster", str(path), "--authority", "parent", "--json"]
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def rows_of(path: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            found[name] = list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8"))))
    return found


def account(platform: Platform, sourced_id: str) -> Login:
    return platform.new_account(str(person_id(SYSTEM, sourced_id)))


@asynccontextmanager
async def streams(platform: Platform, adults: list[str], notes: Notes) -> AsyncIterator[dict[str, Reader]]:
    readers: dict[str, Reader] = {}
    async with session() as http:
        try:
            for adult in adults:
                api = Api(http, platform.base_url, platform.token(account(platform, adult).login))
                readers[adult] = Reader(adult, api, notes.take)
                readers[adult].open()
            assert await notes.until(lambda: all(reader.worker for reader in readers.values()), 20)
            yield readers
        finally:
            for reader in readers.values():
                await reader.hang_up()


def chosen(families: Families) -> tuple[list[str], list[str]]:
    """Pupils of two classes, with an adult who may only be called among them where there is one."""
    graded, beside = (families.members(f"s0-{title}", "student") for title in ("6e1", "5e1"))
    relatives = families.parents

    def odd_first(pupil: str) -> bool:
        return set(families.agents(pupil)) <= relatives

    return sorted(graded, key=odd_first)[:FAMILIES_GRADED], sorted(beside, key=odd_first)[:FAMILIES_BESIDE]


async def test_a_grade_of_an_imported_school_reaches_exactly_its_families(
    platform: Platform, families: Families
) -> None:
    graded, beside = chosen(families)
    adults = sorted({agent for pupil in (*graded, *beside) for agent in families.agents(pupil)})
    siblings = families.members("s0-6e1-MATHS", "student")
    notes = Notes()
    teacher = account(platform, families.members("s0-6e1-MATHS", "teacher")[0])
    async with streams(platform, adults, notes):
        title, group = "Première note", await_group(platform, teacher)
        assessment = posted(platform, teacher, group, title, siblings)
        right = {
            (adult, f"guardians:pupils/{person_id(SYSTEM, pupil)}")
            for pupil in siblings
            for adult in families.agents(pupil)
            if adult in adults and adult in families.parents
        }
        assert len(right) >= FAMILIES_GRADED
        assert await notes.until(lambda: received(notes, title) >= right, 20)
        # One more event per pupil, after which nothing of the first can still be on its way.
        platform_mark(platform, teacher, assessment, siblings, "13")
        assert await notes.until(lambda: sum(s.state == "13/20" for s in notes.seen) >= len(right), 20)
        assert received(notes, title) == right
        assert sum(one.state in ("12/20", "13/20") for one in notes.seen) == 2 * len(right)
    parent = next(iter(sorted(adult for adult, _ in right)))
    stranger = next(adult for adult in adults if adult not in {name for name, _ in right})
    assert_pages(platform, parent, stranger, title)


def test_a_delta_withdraws_a_right_and_brings_a_pupil_at_once(
    platform: Platform, families: Families, tmp_path: Path
) -> None:
    pupil, parent, stays = next(
        (pupil, one, others)
        for pupil in families.members("s0-4e1", "student")
        for one in sorted(families.parents & set(families.agents(pupil)))
        if (others := [agent for agent in families.agents(pupil) if agent != one])
    )
    login = account(platform, parent).login
    before = children_of(platform, login)
    assert str(person_id(SYSTEM, pupil)) in before
    role = next(row for row in families.rows["roles.csv"] if row["userSourcedId"] == pupil)
    place = next(row for row in families.rows["enrollments.csv"] if row["userSourcedId"] == pupil)
    known = next(row for row in families.rows["users.csv"] if row["sourcedId"] == pupil)
    delta = {
        "users.csv": [
            {**known, "agentSourcedIds": ",".join(stays)},
            {**known, "sourcedId": "new", "givenName": "Maé", "agentSourcedIds": parent},
        ],
        "roles.csv": [{**role, "sourcedId": "new-role", "userSourcedId": "new"}],
        "enrollments.csv": [{**place, "sourcedId": "new-place", "userSourcedId": "new"}],
    }
    for record in (one for records in delta.values() for one in records):
        del record["status"], record["dateLastModified"]
    package = Package.delta(delta, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    package.replace("manifest.csv", f"systemCode,{SOURCE}", f"systemCode,{SYSTEM}")
    report = imported(platform, package.write(tmp_path))
    assert {kind: counts["read"] for kind, counts in report["counts"].items() if counts["read"]} == {
        "people": 2, "roles": 1, "enrolments": 1, "links": len(stays) + 1,
    }  # fmt: skip
    assert children_of(platform, login) == before - {str(person_id(SYSTEM, pupil))} | {str(person_id(SYSTEM, "new"))}


def children_of(platform: Platform, login: str) -> set[str]:
    return {child["id"] for child in platform.ok("GET", "/v1/me", by=login)["children"]}


def received(notes: Notes, title: str) -> set[tuple[str, str]]:
    return {(one.reader, one.scope) for one in notes.seen if one.key.startswith(f"{title} |")}


def await_group(platform: Platform, teacher: Login) -> str:
    """The teacher's group 6e1 of mathematics, once the grades service has heard of it too."""
    me = platform.ok("GET", "/v1/me", by=teacher.login)
    uai = me["roles"][0]["uai"]
    groups = platform.ok("GET", f"/v1/schools/{uai}/groups?teacher=me", by=teacher.login)["groups"]
    group = next(one["id"] for one in groups if one["name"] == "6e1 Mathématiques")
    path = f"/v1/assessments?group={group}"
    wait_until(lambda: platform.call("GET", path, by=teacher.login).status == 200, 20, "the news of the group")
    return str(group)


def posted(platform: Platform, teacher: Login, group: str, title: str, pupils: list[str]) -> str:
    body = {"group": group, "title": title, "held_on": str(platform.school_day())}
    made = platform.ok("POST", "/v1/assessments", body, by=teacher.login)["id"]
    platform.ok("POST", f"/v1/assessments/{made}/publication", by=teacher.login)
    platform_mark(platform, teacher, made, pupils, "12")
    return str(made)


def platform_mark(platform: Platform, teacher: Login, assessment: str, pupils: list[str], score: str) -> None:
    marks = [{"pupil": str(person_id(SYSTEM, pupil)), "score": score} for pupil in pupils]
    platform.ok("POST", f"/v1/assessments/{assessment}/marks", {"marks": marks}, by=teacher.login)


def assert_pages(platform: Platform, parent: str, stranger: str, title: str) -> None:
    """The page on the phone shows it to who may see it, and to nobody else."""

    def shown(login: Login) -> Iterator[bool]:
        signed_in = platform.call("POST", "/v1/sessions", {"login": login.login, "password": login.password})
        yield title in platform.call("GET", "/", headers={"Cookie": signed_in.cookies}).body
        yield title in json.dumps(platform.ok("GET", "/v1/feed", by=login.login), ensure_ascii=False)

    reading, other = account(platform, parent), account(platform, stranger)
    wait_until(lambda: all(shown(reading)), 10, "the page and the history")
    assert not any(shown(other))


def test_ids_of_imported_people_are_stable() -> None:
    assert isinstance(person_id(SYSTEM, "s0-f0a0"), UUID)
    assert person_id(SYSTEM, "s0-f0a0") == person_id(SYSTEM, "s0-f0a0") != person_id("another", "s0-f0a0")
