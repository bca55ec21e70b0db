"""A family whose child has been at a school for two years, in a school of its own: with a class large enough for figures."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from cli import demo_school
from tests.journeys.sandbox import new_person, once_known
from tests.platform import Login, Platform

_CLASS = 5


@dataclass(frozen=True, slots=True)
class TwoYears:
    """How the guardian signs in; the year now, named by that in which it ends."""

    guardian: Login
    year: int


def made(platform: Platform) -> TwoYears:
    """Last year a mark of 11 in 6e9, now 10 to 18 in 5e9, the child's being the highest."""
    year = demo_school.current_school_year(platform.school_day())
    uai = f"092{uuid.uuid4().int % 10_000:04d}Y"
    years = [{"year": y, "starts": f"{y - 1}-08-01", "ends": f"{y}-08-01"} for y in (year - 1, year)]
    terms = [{"title": "Année", "school_year": y["year"], "starts": y["starts"], "ends": y["ends"]} for y in years]
    school = {"uai": uai, "name": "Collège des deux ans", "school_years": years, "terms": terms}
    platform.ok("POST", "/v1/schools", school, by="operator")
    teacher, adult = new_person(platform, uai, "teacher"), new_person(platform, uai, "guardian")
    pupils = [new_person(platform, uai, "pupil") for _ in range(_CLASS)]
    path = f"/v1/pupils/{pupils[-1]}/guardians/{adult}"
    platform.ok("PUT", path, {"kind": "legal_guardian"}, by="operator")
    classes = [_class(platform, uai, y, name, teacher, pupils) for y, name in ((year - 1, "6e9"), (year, "5e9"))]
    account = platform.new_account(teacher)
    _marked(platform, account, classes[0], f"{year - 2}-10-01", "Contrôle de sixième", {pupils[-1]: "11"})
    scores = {pupil: str(10 + 2 * place) for place, pupil in enumerate(pupils)}
    _marked(platform, account, classes[1], str(platform.school_day()), "Contrôle de cinquième", scores)
    return TwoYears(platform.new_account(adult), year)


def _class(platform: Platform, uai: str, year: int, name: str, teacher: str, pupils: list[str]) -> str:
    body = {"uai": uai, "school_year": year, "kind": "class", "name": name}
    made = str(platform.ok("POST", "/v1/groups", body, by="operator")["id"])
    for pupil in pupils:
        platform.ok("PUT", f"/v1/groups/{made}/pupils/{pupil}", {}, by="operator")
    # Last, so that who knows of the teacher knows of the pupils.
    subject = {"code": "MATHS", "label": "Mathématiques"}
    platform.ok("PUT", f"/v1/groups/{made}/teachers/{teacher}", {"subject": subject}, by="operator")
    return made


def _marked(platform: Platform, by: Login, group: str, day: str, title: str, scores: dict[str, str]) -> None:
    assessment = once_known(platform, by, {"group": group, "title": title, "held_on": day})
    marks = [{"pupil": pupil, "score": score} for pupil, score in scores.items()]
    platform.ok("POST", f"/v1/assessments/{assessment}/marks", {"marks": marks}, by=by.login)
    platform.ok("POST", f"/v1/assessments/{assessment}/publication", by=by.login)
