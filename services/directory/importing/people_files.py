"""The files that say who is there: users, roles, enrolments, birth dates."""

from __future__ import annotations

from sys import intern

from services.directory.importing.report import Report, Severity
from services.directory.importing.rows import Row
from services.directory.importing.sets import Enrolled, Held, SchoolSet, Taught, User
from services.directory.importing.structure_files import keep, leaving
from services.directory.importing.values import (
    Rejected,
    day,
    listed,
    needed,
    one_of,
    period,
    sourced_id,
    spelled,
    text,
)

_ROLES = spelled(
    "aide", "counselor", "districtAdministrator", "guardian", "parent", "principal", "proctor", "relative",
    "siteAdministrator", "student", "systemAdministrator", "teacher",
)  # fmt: skip
_ENROLMENT_ROLES = spelled("administrator", "proctor", "student", "teacher")
_FLAGS = spelled("true", "false")


def take_user(found: SchoolSet, row: Row, report: Report) -> None:
    """A user: name, address, number, and who they are tied to. Passwords and logins are never looked at."""
    key = sourced_id(row, report)
    user = User(
        intern(text(row, "preferredGivenName") or needed(row, "givenName")),
        intern(text(row, "preferredFamilyName") or needed(row, "familyName")),
        _email(row, key, report),
        text(row, "sms") or text(row, "phone") or None,
        tuple(map(intern, listed(row, "agentSourcedIds"))),
    )
    if not leaving(row):
        keep(found.users, intern(key), user, row, report)


def _email(row: Row, key: str, report: Report) -> str | None:
    value = text(row, "email")
    name, at, host = value.partition("@")
    if (value and not (name and at and host)) or " " in value:
        report.add(Severity.WARNING, "email", row.file, record=row.record, id=key, field="email")
        return None
    return value or None


def user_rejected(found: SchoolSet, row: Row) -> None:
    """A person whose record could not be read is there all the same."""
    found.unread.add(row.get("sourcedId"))


def take_role(found: SchoolSet, row: Row, report: Report) -> None:
    """A role; one held at an org that is no school of the set counts for family links alone."""
    sourced_id(row, report)
    role = one_of(row, "role", _ROLES, report)
    user = _user(found, row)
    starts, ends = period(row, "beginDate", "endDate")
    org = needed(row, "orgSourcedId")
    if leaving(row):
        return
    school = found.schools.get(org)
    if school is None and role == "student":
        report.add(Severity.WARNING, "org-not-a-school", row.file, record=row.record, id=org, field="orgSourcedId")
    held = Held(role, school.uai if school else "", starts, ends)
    found.roles[user] = found.shared((*found.roles.get(user, ()), found.shared(held)))


def take_enrolment(found: SchoolSet, row: Row, report: Report) -> None:
    """A pupil's or a teacher's place in a class; whoever is enrolled as what they are not is rejected."""
    sourced_id(row, report)
    role = one_of(row, "role", _ENROLMENT_ROLES, report)
    user = _user(found, row)
    class_id = needed(row, "classSourcedId")
    if class_id not in found.classes:
        raise Rejected("classSourcedId", "class-not-in-set")
    starts, ends = period(row, "beginDate", "endDate")
    primary = bool(row.get("primary")) and one_of(row, "primary", _FLAGS, report) == "true"
    if leaving(row):
        return
    if role not in ("student", "teacher"):
        report.add(Severity.WARNING, "role-not-mapped", row.file, record=row.record, id=user, field="role")
        return
    if not found.is_a(user, role):
        raise Rejected("role", "role-differs")
    if role == "student":
        found.enrolled.setdefault(user, []).append(found.shared(Enrolled(class_id, starts, ends)))
    else:
        found.taught.setdefault(class_id, []).append(Taught(user, primary, starts, ends))


def _user(found: SchoolSet, row: Row) -> str:
    # A county's ids stand in five files: one string of each is enough.
    user = intern(needed(row, "userSourcedId"))
    if user not in found.users:
        raise Rejected("userSourcedId", "user-not-in-set")
    return user


def role_rejected(found: SchoolSet, row: Row) -> None:
    """Of this person something is not known."""
    found.partial.add(row.get("userSourcedId"))


def enrolment_rejected(found: SchoolSet, row: Row) -> None:
    """Of this person and this class something is not known."""
    found.partial.add(row.get("userSourcedId"))
    found.partial_classes.add(row.get("classSourcedId"))


def take_demographics(found: SchoolSet, row: Row, report: Report) -> None:
    """The birth date, and nothing else."""
    key = sourced_id(row, report)
    born = day(row, "birthDate")
    if key not in found.users:
        if key not in found.unread:
            report.add(Severity.WARNING, "user-not-in-set", row.file, record=row.record, id=key)
    elif born is not None and not leaving(row):
        keep(found.birth_dates, intern(key), born, row, report)


def demographics_rejected(found: SchoolSet, row: Row) -> None:
    """Of this person something is not known."""
    found.partial.add(row.get("sourcedId"))
