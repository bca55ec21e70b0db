"""A county as a OneRoster 1.2 bulk package.

OneRoster says nothing on parental authority. The roles are chosen so that an import with `--authority parent,guardian`
gives the rights that the model means: whoever has none is a relative.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.counties.model import Child, Group, Person, Plan, Post, School, Tie
from bench.counties.teaching import SUBJECTS
from bench.oneroster import PackageWriter
from bench.schools import write_calendar

SYSTEM = "county"
AUTHORITY = ("parent", "guardian")
COUNTY = "county"
_TIES = {Tie.PARENT: "parent", Tie.TUTOR: "guardian", Tie.IN_CHARGE: "relative", Tie.CONTACT: "relative"}
_POSTS = {Post.HEAD: "principal", Post.STUDENT_AFFAIRS: "counselor", Post.TEACHER: "teacher"}


def write(plan: Plan, schools: Iterable[School], path: Path) -> None:
    """Write the package as the schools are made; the same plan gives the same bytes."""
    with PackageWriter(SYSTEM) as out:
        write_calendar(out, plan.school_year)
        out.add("orgs.csv", sourcedId=COUNTY, name="Hauts-de-Seine", type="district")
        for code, label in SUBJECTS.items():
            out.add("courses.csv", sourcedId=f"c-{code}", title=label, courseCode=code, orgSourcedId=COUNTY)
        written: set[str] = set()
        for school in schools:
            _SchoolPart(out, plan.school_year, school, written).write()
        out.write(path)


class _SchoolPart:
    """One school's rows; `written` are the adults who are in the file already."""

    def __init__(self, out: PackageWriter, school_year: int, school: School, written: set[str]) -> None:
        self._out = out
        self._school = school
        self._org = school.uai
        self._written = written
        self._terms = ",".join(f"{school_year}-T{n}" for n in (1, 2, 3))
        self._held: set[tuple[str, str]] = set()
        self._enrolments = 0

    def write(self) -> None:
        """Write the school."""
        school = self._school
        self._out.add(
            "orgs.csv", sourcedId=self._org, name=school.name, type="school", identifier=school.uai,
            parentSourcedId=COUNTY,
        )  # fmt: skip
        for person, post in school.staff.posts:
            self._person(person, _POSTS[post])
        for group in school.groups:
            self._group(group)
        for family in school.families:
            for child in family.children:
                self._child(child)

    def _person(self, person: Person, role: str, agents: str = "", level: str = "") -> None:
        if role == "student" or person.id not in self._written:
            self._out.add(
                "users.csv", sourcedId=person.id, enabledUser="true", username=person.id,
                givenName=person.given_name, familyName=person.family_name, email=person.email or "",
                phone=person.phone or "", agentSourcedIds=agents, grades=level,
            )  # fmt: skip
            if role != "student":
                self._written.add(person.id)
        if (person.id, role) not in self._held:
            self._held.add((person.id, role))
            self._out.add(
                "roles.csv", sourcedId=f"r{self._school.number}-{role}-{person.id}", userSourcedId=person.id,
                roleType="primary", role=role, orgSourcedId=self._org,
            )  # fmt: skip

    def _group(self, group: Group) -> None:
        self._out.add(
            "classes.csv", sourcedId=group.id, title=group.title, courseSourcedId=f"c-{group.subject}",
            classType="homeroom" if group.is_class else "scheduled", schoolSourcedId=self._org,
            termSourcedIds=self._terms,
        )  # fmt: skip
        self._enrol(group.id, group.teacher.id, "teacher", "true" if group.is_class else "")

    def _child(self, child: Child) -> None:
        for adult, tie in child.ties:
            self._person(adult, _TIES[tie])
        id = child.person.id
        self._person(child.person, "student", ",".join(adult.id for adult, _ in child.ties), child.level)
        self._out.add("demographics.csv", sourcedId=id, birthDate=child.born.isoformat())
        for group in child.groups:
            self._enrol(group, id, "student", "")

    def _enrol(self, group: str, user: str, role: str, primary: str) -> None:
        self._enrolments += 1
        self._out.add(
            "enrollments.csv", sourcedId=f"e{self._school.number}-{self._enrolments}", classSourcedId=group,
            schoolSourcedId=self._org, userSourcedId=user, role=role, primary=primary,
        )  # fmt: skip
