"""The demo school: Collège Jean-Macé, its people, and who to sign in as."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

import aiohttp

from bench.oneroster import PackageWriter
from bench.schools import SUBJECTS, SchoolWriter, write_calendar, write_courses
from cli.importing import run_import
from services.directory.importing.identity import person_id
from services.directory.importing.report import Report
from services.directory.importing.usecase import Options

UAI = "0921234S"
SCHOOL = "Collège Jean-Macé"
SOURCE = "demo"
PASSWORD = "jean-mace-2027"  # noqa: S105
"""The password of every demo account: printed by `preau up`, good for nothing else."""
AUTHORITY = ("parent",)
CLASSES = ("6e1", "4e2")
PUPILS_A_CLASS = 24


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody to sign in as; `id` is that of the directory, known beforehand."""

    login: str
    what: str
    given_name: str
    family_name: str
    sourced_id: str

    @property
    def id(self) -> UUID:
        """The person's id in the directory."""
        return person_id(SOURCE, self.sourced_id)


HEAD = DemoPerson("principale", "head", "Françoise", "Guérin", "head")
ADVISER = DemoPerson("cpe", "student affairs", "Rachid", "Haddad", "adviser")
TEACHER = DemoPerson(
    "prof", "teacher of mathematics of both classes, form teacher of 6e1", "Hélène", "Prévôt", "t-MATHS"
)
OTHER_TEACHER = DemoPerson("prof-francais", "teacher of French, form teacher of 4e2", "Jérôme", "L'Hôte", "t-FRANC")
PARENT = DemoPerson("parent", "mother of Léa and Noé", "Amélie", "Lefèvre", "lefevre-amelie")
SEPARATED = DemoPerson("parent-separe", "father of Léa alone, living apart", "Côme", "Ménard", "menard-come")
CONTACT = DemoPerson("contact", "grandmother of Noé: may be called, reads nothing", "Zélie", "Lefèvre", "lefevre-zelie")
IN_CHARGE = DemoPerson(
    "en-charge", "foster carer of Inès: no parental authority", "Gaëlle", "Châtelain", "chatelain-gaelle"
)
PUPIL = DemoPerson("eleve", "pupil of 6e1", "Léa", "Lefèvre", "lefevre-lea")
BROTHER = DemoPerson("eleve-frere", "pupil of 4e2, Léa's half-brother", "Noé", "Lefèvre", "lefevre-noe")
FOSTERED = DemoPerson("eleve-ines", "pupil of 6e1 in foster care", "Inès", "N'Diaye", "ndiaye-ines")

PEOPLE = (
    HEAD, ADVISER, TEACHER, OTHER_TEACHER, PARENT, SEPARATED, CONTACT, IN_CHARGE, PUPIL, BROTHER, FOSTERED,
)  # fmt: skip
"""Everybody who gets an account."""


def write_package(path: Path, school_year: int) -> None:
    """Write the demo school's OneRoster set; the same bytes for the same year (named by the year in which it ends)."""
    with PackageWriter(SOURCE) as out:
        write_calendar(out, school_year)
        out.add("orgs.csv", sourcedId="jean-mace", name=SCHOOL, type="school", identifier=UAI)
        write_courses(out, "jean-mace")
        school = SchoolWriter(out, "d", "jean-mace", school_year, random.Random(UAI))  # noqa: S311
        _staff(school)
        classes = [_class(school, title) for title in CLASSES]
        _families(school, classes)
        for place, ids in enumerate(classes):
            _filling(school, place, ids)
        out.write(path)


def _staff(school: SchoolWriter) -> None:
    for who, role in ((HEAD, "principal"), (ADVISER, "counselor"), (TEACHER, "teacher"), (OTHER_TEACHER, "teacher")):
        school.person(who.sourced_id, who.given_name, who.family_name, role)
    for code in SUBJECTS:
        if code not in ("MATHS", "FRANC"):
            school.person(f"t-{code}", *school.name(), "teacher")


def _class(school: SchoolWriter, title: str) -> list[str]:
    home = school.class_(title, title, "homeroom", "c-VIECL")
    form = TEACHER if title == CLASSES[0] else OTHER_TEACHER
    school.enrol(home, form.sourced_id, "teacher", "true")
    groups = []
    for code, label in SUBJECTS.items():
        group = school.class_(f"{title}-{code}", f"{title} {label}", "scheduled", f"c-{code}")
        school.enrol(group, f"t-{code}", "teacher")
        groups.append(group)
    return [home, *groups]


def _families(school: SchoolWriter, classes: list[list[str]]) -> None:
    for who, role in ((PARENT, "parent"), (SEPARATED, "parent"), (CONTACT, "relative"), (IN_CHARGE, "guardian")):
        school.person(who.sourced_id, who.given_name, who.family_name, role)
    for pupil, adults, place, born in (
        (PUPIL, (PARENT, SEPARATED), 0, "03-14"),
        (BROTHER, (PARENT, CONTACT), 1, "09-02"),
        (FOSTERED, (IN_CHARGE,), 0, "06-21"),
    ):
        agents = ",".join(adult.sourced_id for adult in adults)
        school.person(pupil.sourced_id, pupil.given_name, pupil.family_name, "student", agents)
        _enrol(school, pupil.sourced_id, classes[place], f"{school.school_year - 12 - 2 * place}-{born}")


def _filling(school: SchoolWriter, place: int, ids: list[str]) -> None:
    """The rest of a class: each pupil with two parents, every sixth with one."""
    for n in range(PUPILS_A_CLASS):
        given, family = school.name()
        key = f"d{place}-{n}"
        parents = [
            school.person(f"{key}-a{m}", school.name()[0], family, "parent") for m in range(1 if n % 6 == 0 else 2)
        ]
        school.person(key, given, family, "student", ",".join(parents))
        _enrol(school, key, ids, f"{school.school_year - 12 - 2 * place}-{n % 12 + 1:02d}-{n + 1:02d}")


def _enrol(school: SchoolWriter, pupil: str, ids: list[str], born: str) -> None:
    school.born(pupil, born)
    for class_id in ids:
        school.enrol(class_id, pupil)


def current_school_year(today: date) -> int:
    """The school year a day belongs to, by the year in which it ends; August is the next one's."""
    return today.year + (1 if today.month >= 8 else 0)


async def import_school(database_url: str, today: date) -> Report:
    """Import the demo school of today's year; the second time changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.zip"
        write_package(path, current_school_year(today))
        report = await run_import(database_url, path, Options(authority=AUTHORITY))
    if report.refused:
        raise RuntimeError(f"the demo school was refused: {sorted(report.codes)}")
    return report


async def create_accounts(gateway_url: str, operator_token: str) -> None:
    """Create the demo people's accounts through the public API; those that exist stay as they are."""
    headers = {"Authorization": f"Bearer {operator_token}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        for who in PEOPLE:
            account = {"login": who.login, "password": PASSWORD, "person": str(who.id)}
            async with client.post(f"{gateway_url}/v1/accounts", json=account) as answer:
                if answer.status not in (201, 409):
                    raise RuntimeError(f"the account {who.login} was refused with {answer.status}")


async def ensure(
    database_url: str, gateway_url: str, operator_token: str, today: date
) -> tuple[Report, tuple[DemoPerson, ...]]:
    """Have the demo school and its accounts; returns the import's report and who to sign in as with `PASSWORD`.

    `database_url` is the directory's database, `gateway_url` the base of the public API. May be called again and again.
    """
    report = await import_school(database_url, today)
    await create_accounts(gateway_url, operator_token)
    return report, PEOPLE
