"""The files of a OneRoster 1.2 package and their columns, as far as the directory reads them."""

from __future__ import annotations

from dataclasses import dataclass

MANIFEST = "manifest.csv"


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One data file: all its columns in the specification's order, and those that need a value in every row."""

    columns: tuple[str, ...]
    required: frozenset[str]


def _spec(text: str) -> FileSpec:
    words = text.split()
    return FileSpec(tuple(w.rstrip("!") for w in words), frozenset(w[:-1] for w in words if w.endswith("!")))


_HEAD = "sourcedId! status dateLastModified"

FILES: dict[str, FileSpec] = {
    "orgs.csv": _spec(f"{_HEAD} name! type! identifier parentSourcedId"),
    "academicSessions.csv": _spec(f"{_HEAD} title! type! startDate! endDate! parentSourcedId schoolYear!"),
    "courses.csv": _spec(f"{_HEAD} schoolYearSourcedId title! courseCode grades orgSourcedId! subjects subjectCodes"),
    "classes.csv": _spec(
        f"{_HEAD} title! grades courseSourcedId! classCode classType! location schoolSourcedId! termSourcedIds!"
        " subjects subjectCodes periods"
    ),
    "users.csv": _spec(
        f"{_HEAD} enabledUser! username! userIds givenName! familyName! middleName identifier email sms phone"
        " agentSourcedIds grades password userMasterIdentifier resourceSourcedIds preferredGivenName"
        " preferredMiddleName preferredFamilyName primaryOrgSourcedId pronouns"
    ),
    "roles.csv": _spec(f"{_HEAD} userSourcedId! roleType! role! beginDate endDate orgSourcedId! userProfileSourcedId"),
    "enrollments.csv": _spec(
        f"{_HEAD} classSourcedId! schoolSourcedId! userSourcedId! role! primary beginDate endDate"
    ),
    "demographics.csv": _spec(
        f"{_HEAD} birthDate sex americanIndianOrAlaskaNative asian blackOrAfricanAmerican"
        " nativeHawaiianOrOtherPacificIslander white demographicRaceTwoOrMoreRaces hispanicOrLatinoEthnicity"
        " countryOfBirthCode stateOfBirthAbbreviation cityOfBirth publicSchoolResidenceStatus"
    ),
}
"""The files that are read, in the order in which one may refer to another."""

KEPT: dict[str, tuple[str, ...]] = {
    "orgs.csv": ("sourcedId", "name", "type", "identifier"),
    "academicSessions.csv": ("sourcedId", "title", "type", "startDate", "endDate", "schoolYear"),
    "courses.csv": ("sourcedId", "title", "courseCode", "subjects", "subjectCodes"),
    "classes.csv": (
        "sourcedId", "title", "courseSourcedId", "classType", "schoolSourcedId", "termSourcedIds", "subjects",
        "subjectCodes",
    ),
    "users.csv": (
        "sourcedId", "givenName", "familyName", "email", "sms", "phone", "agentSourcedIds", "preferredGivenName",
        "preferredFamilyName",
    ),
    "roles.csv": ("sourcedId", "userSourcedId", "role", "beginDate", "endDate", "orgSourcedId"),
    "enrollments.csv": ("sourcedId", "classSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate"),
    "demographics.csv": ("sourcedId", "birthDate"),
}  # fmt: skip
"""The columns remembered of each row, so that a delta can be laid over them: those that are read, and no others."""

NEEDED = tuple(name for name in FILES if name != "demographics.csv")
"""The files a bulk rostering set cannot do without."""

DELTA_REQUIRED = frozenset({"status", "dateLastModified"})
"""Columns that a delta file needs a value of in every row, and a bulk file leaves empty."""

IGNORED = frozenset(
    f"{name}.csv"
    for name in (
        "categories", "classResources", "courseResources", "lineItemLearningObjectiveIds", "lineItems",
        "lineItemScoreScales", "resources", "resultLearningObjectiveIds", "results", "resultScoreScales",
        "scoreScales", "userProfiles", "userResources",
    )
)  # fmt: skip
"""Files of the specification that hold nothing the directory keeps (userProfiles holds passwords)."""

UNREAD = frozenset({"password", "sex", "enabledUser", "username"}) | frozenset(FILES["demographics.csv"].columns[5:])
"""Columns dropped before anything looks at them: a password is never kept, and French law forbids keeping race."""
