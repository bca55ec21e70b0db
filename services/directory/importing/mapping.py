"""What a set states, as documents: one per school, group and person, in an order that rows cannot change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import itemgetter
from uuid import UUID

from contracts.directory import (
    GroupChanged,
    GroupKind,
    GuardianLink,
    LinkKind,
    Membership,
    PersonChanged,
    Role,
    RoleName,
    SchoolChanged,
    SchoolYear,
    Subject,
    Teaching,
    Term,
)
from services.directory.importing.identity import group_id, person_id, term_id
from services.directory.importing.report import Report, Severity
from services.directory.importing.sets import Enrolled, Held, SchoolSet
from services.directory.ordering import content, ordered

ROLES = {
    "student": RoleName.PUPIL,
    "teacher": RoleName.TEACHER,
    "principal": RoleName.HEAD,
    "counselor": RoleName.STUDENT_AFFAIRS,
    "parent": RoleName.GUARDIAN,
    "guardian": RoleName.GUARDIAN,
    "relative": RoleName.GUARDIAN,
}
"""Roles of the source that mean something here; the others are reported and grant nothing."""

WITHOUT_AUTHORITY = {
    "parent": LinkKind.CONTACT,
    "relative": LinkKind.CONTACT,
    "guardian": LinkKind.PERSON_IN_CHARGE,
}
"""What a family role is where the importing school does not say that it carries parental authority.

OneRoster says nothing on authority, so each is taken for the least it can mean.
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the source states of one entity; `partial` when some of it could not be read."""

    document: SchoolChanged | GroupChanged | PersonChanged
    partial: bool = False


class Mapper:
    """Turns a set into statements; `authority` lists the family roles that carry parental authority."""

    def __init__(self, found: SchoolSet, report: Report, authority: Collection[str], zone: str) -> None:
        self._set = found
        self._report = report
        self._authority = frozenset(authority)
        self._zone = zone
        self._people: dict[str, UUID] = {user: person_id(found.source, user) for user in found.users}
        self._unplaced: set[UUID] = set()
        self._roles: dict[Held, Role] = {}
        self._enrolments: dict[Enrolled, tuple[tuple[str, ...], Membership]] = {}
        self._groups = {key: group_id(found.source, key, row.year) for key, row in found.classes.items()}

    def schools(self) -> Iterator[Statement]:
        """Schools with their years and terms (sessions name no school: they hold for all of the set)."""
        sessions = self._set.sessions
        years = {s.year: SchoolYear(year=s.year, starts=s.starts, ends=s.ends)
                 for s in sorted(sessions.values()) if s.kind == "schoolYear"}  # fmt: skip
        terms = [
            Term(id=term_id(self._set.source, key), title=s.title, school_year=s.year, starts=s.starts, ends=s.ends)
            for key, s in sessions.items()
            if s.kind in ("term", "semester")
        ]
        for year in sorted({s.year for s in sessions.values()} - years.keys()):
            self._report.add(Severity.WARNING, "school-year-missing", "academicSessions.csv", field=str(year))
        for school in sorted(self._set.schools.values()):
            yield Statement(
                SchoolChanged(
                    uai=school.uai,
                    name=school.name,
                    zone=self._zone,
                    school_years=ordered(years.values()),
                    terms=ordered(terms),
                ),
                self._set.partial_calendar,
            )

    def groups(self) -> Iterator[Statement]:
        """Groups with their teachers."""
        for key, _ in sorted(self._groups.items(), key=lambda item: item[1]):
            row = self._set.classes[key]
            taught = set(self._set.taught.get(key, ()))
            subject = None if row.homeroom and not row.subjects else self._subject(key)
            form = {self._people[t.user] for t in taught if t.primary and row.homeroom}
            yield Statement(
                GroupChanged(
                    id=self._groups[key],
                    uai=row.uai,
                    school_year=row.year,
                    kind=GroupKind.CLASS if row.homeroom else GroupKind.GROUP,
                    name=row.title,
                    teachers=ordered(
                        Teaching(person=self._people[t.user], subject=subject, starts=t.starts, ends=t.ends)
                        for t in {t._replace(primary=False) for t in taught}
                    ),
                    form_teachers=sorted(form),
                ),
                key in self._set.partial_classes,
            )

    def _subject(self, key: str) -> Subject | None:
        row = self._set.classes[key]
        course = self._set.courses.get(row.course)
        for labels, codes in (
            (row.subjects, row.subject_codes),
            (course.subjects, course.subject_codes) if course else ((), ()),
        ):
            if labels:
                return _subject(labels[0], codes[0] if codes else course.code if course else "")
        return _subject(course.title, course.code) if course else None

    def people(self) -> Iterator[Statement]:
        """People who are something at a school of the set or are tied to one of its pupils."""
        linked = {adult for adults in self._set.links.values() for adult in adults}
        unmapped: Counter[str] = Counter()
        for user, _ in sorted(self._people.items(), key=lambda item: item[1].int):
            person = self._person(user, unmapped)
            if person.roles or user in linked:
                yield Statement(person, user in self._set.partial)
            else:
                if user in self._set.partial:
                    self._unplaced.add(self._people[user])
                if self._report.concerns(user):
                    self._report.counts["people"].rejected += 1
                    self._report.add(Severity.WARNING, "person-without-school", "users.csv", id=user)
        for role in sorted(+unmapped):
            self._report.add(Severity.WARNING, "role-not-mapped", "roles.csv", field=role)

    def _person(self, user: str, unmapped: Counter[str]) -> PersonChanged:
        record = self._set.users[user]
        roles: dict[tuple[object, ...], Role] = {}
        for held in self._set.roles.get(user, ()):
            name = ROLES.get(held.role)
            if name is None:
                unmapped[held.role] += self._report.concerns(user)
            elif held.uai:
                roles[name, *held[1:]] = self._role(name, held)
        return PersonChanged(
            id=self._people[user],
            given_name=record.given_name,
            family_name=record.family_name,
            email=record.email,
            phone=record.phone,
            birth_date=self._set.birth_dates.get(user),
            roles=ordered(roles.values()),
            memberships=self._memberships(user),
            guardians=ordered(
                GuardianLink(person=self._people[adult], kind=self._kind(kin))
                for adult, kin in self._set.links.get(user, {}).items()
            ),
        )

    def _role(self, name: RoleName, held: Held) -> Role:
        found = self._roles.get(held)
        if found is None:
            found = self._roles[held] = Role(name=name, uai=held.uai, starts=held.starts, ends=held.ends)
        return found

    def _memberships(self, user: str) -> list[Membership]:
        """In order; half a million enrolments are a few thousand different ones, each made once."""
        found = []
        for enrolled in set(self._set.enrolled.get(user, ())):
            known = self._enrolments.get(enrolled)
            if known is None:
                known = self._enrolments[enrolled] = self._membership(enrolled)
            found.append(known)
        found.sort(key=itemgetter(0))
        return [membership for _, membership in found]

    def _membership(self, enrolled: Enrolled) -> tuple[tuple[str, ...], Membership]:
        made = Membership(
            group=self._groups[enrolled.class_id],
            uai=self._set.classes[enrolled.class_id].uai,
            starts=enrolled.starts,
            ends=enrolled.ends,
        )
        return content(made), made

    def _kind(self, kin: str) -> LinkKind:
        return LinkKind.LEGAL_GUARDIAN if kin in self._authority else WITHOUT_AUTHORITY[kin]

    def unread(self) -> set[UUID]:
        """Who is in the set although their record could not be read."""
        return {person_id(self._set.source, user) for user in self._set.unread}

    def untouched(self) -> set[UUID]:
        """Who and what is in the set although too little of it could be read: nothing of it ends.

        To be asked after `people`, which finds those whose place could not be read.
        """
        people = self.unread() | self._unplaced
        years = {s.year for s in self._set.sessions.values()}
        return people | {group_id(self._set.source, key, y) for key in self._set.unread_classes for y in years}


def _subject(label: str, code: str) -> Subject:
    return Subject(code=(code or label)[:64], label=label[:255])
