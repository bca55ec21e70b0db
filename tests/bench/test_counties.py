"""A made-up county: the same from the same seed, whole, as varied as it says, and read without one complaint."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.counties.making import make
from bench.counties.model import Household, Plan, School, Tie
from bench.counties.oneroster import AUTHORITY, write
from bench.counties.teaching import LEVELS
from cli.main import build
from contracts.directory import LinkKind, PersonChanged
from services.directory.importing.identity import person_id
from services.directory.importing.mapping import Mapper
from services.directory.importing.package import open_package
from services.directory.importing.reading import read_set
from services.directory.importing.report import Report
from services.directory.importing.values import uai_letter_fits

PLAN = Plan(seed=7, school_year=2027, schools=3, pupils=1200)


@dataclass(frozen=True)
class Read:
    """The package as the importer reads it."""

    report: Report
    people: dict[Any, PersonChanged]


@pytest.fixture(scope="module")
def schools() -> list[School]:
    return list(make(PLAN))


@pytest.fixture(scope="module")
def package(schools: list[School], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("county") / "county.zip"
    write(PLAN, schools, path)
    return path


@pytest.fixture(scope="module")
def read(package: Path) -> Read:
    report = Report()
    with open_package(package, report) as opened:
        found = read_set(opened, report)
    assert found is not None
    mapper = Mapper(found.found, report, AUTHORITY, "Europe/Paris")
    assert list(mapper.schools())
    assert list(mapper.groups())
    people = [statement.document for statement in mapper.people()]
    return Read(report, {one.id: one for one in people if isinstance(one, PersonChanged)})


def test_the_same_seed_makes_the_same_bytes(package: Path, tmp_path: Path) -> None:
    write(PLAN, make(PLAN), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()
    write(Plan(8, 2027, 3, 1200), make(Plan(8, 2027, 3, 1200)), tmp_path / "other.zip")
    assert (tmp_path / "other.zip").read_bytes() != package.read_bytes()


def test_the_bytes_are_those_of_any_machine(package: Path) -> None:
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert digest == "0dc1767b2475671e516a58f20f2ed545196d1d1bbe1d3ee2cf3a8d4f8fd8e88b"


def test_the_importer_has_nothing_to_say_against_it(read: Read) -> None:
    assert not read.report.problems
    assert all(counts.rejected == counts.pending == 0 for counts in read.report.counts.values())


def test_nobody_is_missing(schools: list[School], read: Read) -> None:
    children = [c for s in schools for f in s.families for c in f.children]
    assert len(children) == PLAN.pupils
    named = {c.person.id for c in children} | {a.id for c in children for a, _ in c.ties}
    named |= {p.id for s in schools for p, _ in s.staff.posts}
    assert read.people.keys() == {person_id("county", id) for id in named}


def test_rights_are_those_of_the_ties(schools: list[School], read: Read) -> None:
    seen: set[Tie] = set()
    for child in (c for s in schools for f in s.families for c in f.children):
        links = {link.person: link.kind for link in read.people[person_id("county", child.person.id)].guardians}
        assert links == {
            person_id("county", adult.id): LinkKind.LEGAL_GUARDIAN
            if tie in (Tie.PARENT, Tie.TUTOR)
            else LinkKind.CONTACT
            for adult, tie in child.ties
        }
        seen.update(tie for _, tie in child.ties)
    assert seen == set(Tie)


def test_schools_have_sound_identifiers_and_a_whole_staff(schools: list[School]) -> None:
    assert len({school.uai for school in schools}) == PLAN.schools
    for school in schools:
        assert school.uai.startswith("092")
        assert uai_letter_fits(school.uai)
        assert Counter(post.value for _, post in school.staff.posts)["head"] == 2
        classes = [group for group in school.groups if group.is_class]
        assert {group.title[:2] for group in classes} == set(LEVELS)
        assert {group.teacher.id for group in classes} <= {person.id for person, _ in school.staff.posts}


def test_classes_are_of_about_26_and_groups_cut_across(schools: list[School]) -> None:
    for school in schools:
        groups = {group.id: group for group in school.groups}
        members = [child for family in school.families for child in family.children]
        sizes = Counter(child.groups[0] for child in members)
        assert all(groups[home].is_class for home in sizes)
        assert 20 <= min(sizes.values()) <= max(sizes.values()) <= 32
        homes: dict[str, set[str]] = {}
        for child in members:
            for group in child.groups[1:]:
                homes.setdefault(group, set()).add(child.groups[0])
        assert max(len(found) for found in homes.values()) > 1
        assert sum(len(found) == 1 for found in homes.values()) > len(homes) / 2


def test_families_are_of_every_kind(schools: list[School]) -> None:
    families = [family for school in schools for family in school.families]
    assert {family.household for family in families} == set(Household)
    pupils = sum(len(f.children) for f in families)
    assert 0.2 < sum(len(f.children) for f in families if len(f.children) > 1) / pupils < 0.5
    numbers = Counter(family.number for family in families)
    assert max(numbers.values()) == 2
    separated = [f for f in families if f.household is Household.SEPARATED]
    assert 0.1 < len(separated) / len(families) < 0.3
    for child in (c for f in separated for c in f.children):
        assert len({adult.home for adult, tie in child.ties if tie is Tie.PARENT}) == 2


def test_people_are_as_people_are(schools: list[School]) -> None:
    adults = {a.id: a for s in schools for f in s.families for c in f.children for a, _ in c.ties}
    without = sum(adult.email is None for adult in adults.values())
    assert 0.1 < without / len(adults) < 0.2
    names = {f"{adult.given_name} {adult.family_name}" for adult in adults.values()}
    assert all(any(mark in name for name in names) for mark in ("'", "-", "é", "ễ", "de ", "Ö"))
    posts = Counter(person.id for school in schools for person, _ in school.staff.posts)
    assert max(posts.values()) == 2
    taught = {(g.teacher.id, g.subject) for s in schools for g in s.groups if not g.is_class}
    assert max(Counter(teacher for teacher, _ in taught).values()) > 1
    born = [c.born for s in make(Plan(7, 2027, 8, 6000)) for f in s.families for c in f.children]
    assert min(born) < date(2027 - 18, 1, 1)


def test_the_command_tells_whom_to_look_at(tmp_path: Path) -> None:
    line = ["generate", "county", "--seed", "7", "--schools", "3", "--pupils", "1200", "--school-year", "2027"]
    done = CliRunner().invoke(build("generate"), [*line, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "county.json").read_text(encoding="utf-8"))
    assert summary["counts"]["pupils"] == 1200
    assert {"separated family", "contact", "sibling at the school before"} <= summary["examples"].keys()
    for chosen in summary["examples"]["contact"]:
        assert "contact" in {adult["tie"] for adult in chosen["adults"]}
    assert not any(name in json.dumps(summary) for name in ("given_name", "@", "family_name"))


@pytest.mark.parametrize("sizes", [(0, 100), (2, 100), (1, 2001)])
def test_a_county_that_cannot_be_is_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="between"):
        Plan(1, 2027, *sizes)
