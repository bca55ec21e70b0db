"""Who may do what in the directory, decided on its own documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from contracts.directory import (
    GroupChanged,
    GroupKind,
    LinkKind,
    PersonChanged,
    RoleName,
    SchoolChanged,
)
from services.directory.documents import holds

STAFF = frozenset({RoleName.TEACHER, RoleName.STUDENT_AFFAIRS, RoleName.HEAD})


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller is at one school on one day; an operator is no person and leads every school."""

    uai: str
    today: date
    person: PersonChanged | None = None
    operator: bool = False

    @property
    def roles(self) -> frozenset[RoleName]:
        """Roles held at the school today."""
        return roles_at(self.person, self.uai, self.today) if self.person else frozenset()

    def leads(self) -> bool:
        """May write everything of the school."""
        return self.operator or RoleName.HEAD in self.roles

    def oversees(self) -> bool:
        """May read everything of the school."""
        return self.leads() or RoleName.STUDENT_AFFAIRS in self.roles

    def belongs(self) -> bool:
        """Is anything at all at the school."""
        return self.operator or bool(self.roles)

    def teaches(self, group: GroupChanged) -> bool:
        """Teaches the group today, or is its form teacher, while a teacher of the school."""
        if self.person is None or group.ended or RoleName.TEACHER not in self.roles:
            return False
        taught = {t.person for t in group.teachers if holds(t, self.today)}
        return self.person.id in taught or self.person.id in group.form_teachers

    def reads_group(self, group: GroupChanged) -> bool:
        """May see the group with the names in it."""
        return self.oversees() or self.teaches(group)


def roles_at(person: PersonChanged, uai: str, today: date) -> frozenset[RoleName]:
    """The roles a person holds at a school today; one who has ended holds none."""
    if person.ended:
        return frozenset()
    return frozenset(r.name for r in person.roles if r.uai == uai and holds(r, today))


def schools_of(person: PersonChanged) -> list[str]:
    """Every school a person is or was something at."""
    return sorted({r.uai for r in person.roles} | {m.uai for m in person.memberships})


def reading_schools(
    child: PersonChanged, adult: PersonChanged, schools: Iterable[SchoolChanged], today: date
) -> list[SchoolChanged]:
    """The schools at which an adult may read about a child today: all for a legal guardian, else those that opened."""
    if child.ended or adult.ended:
        return []
    kinds = {link.kind for link in child.guardians if link.person == adult.id and holds(link, today)}
    return [
        school
        for school in schools
        if RoleName.PUPIL in roles_at(child, school.uai, today)
        and (LinkKind.LEGAL_GUARDIAN in kinds or kinds & set(school.opened_to))
    ]


def class_of(pupil: PersonChanged, groups: Iterable[GroupChanged], uai: str, today: date) -> GroupChanged | None:
    """The class a pupil is in at a school today."""
    current = {m.group for m in pupil.memberships if m.uai == uai and holds(m, today)}
    classes = [g for g in groups if g.id in current and g.kind is GroupKind.CLASS and not g.ended]
    return max(classes, key=lambda g: (g.school_year, g.name), default=None)
