"""Who is wronged and who tries: a family of the sandbox's school, and everybody who may not read of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from cli import demo_school
from infra.local.processes import wait_until
from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Login, Platform

COMMENT = "Un secret de famille"
"""What the teacher wrote to the pupil who is asked for."""


@dataclass(frozen=True)
class Scene:
    """A pupil with a mark, the parent who may read it, and who may not; `strangers` are logins by what they are."""

    platform: Platform
    victim: Sandbox
    strangers: Mapping[str, str]

    @cached_property
    def unknown(self) -> Sandbox:
        """The same ids, of nothing that exists."""
        group, teacher, pupil, adult, assessment, token = (str(uuid.uuid4()) for _ in range(6))
        nobody = Login(f"nobody-{uuid.uuid4()}")
        return replace(
            self.victim, uai="0920000Z", group=group, teacher=teacher, pupil=pupil, adult=adult, account=nobody,
            teacher_account=nobody, assessment=assessment, token=token,
        )  # fmt: skip

    @property
    def telling(self) -> tuple[str, ...]:
        """What no stranger may be shown."""
        one = self.victim
        return (one.pupil, one.adult, one.assessment, one.token, one.account.login, COMMENT)


def made_scene(platform: Platform) -> Scene:
    """Make the family, its classmates and the teacher of another class, and wait until every service knows them."""
    victim = made_sandbox(platform)
    _tie(platform, victim.pupil, victim.adult)
    mate, mates_parent = _person(victim, "pupil"), _person(victim, "guardian")
    platform.ok("PUT", f"/v1/groups/{victim.group}/pupils/{mate}", {}, by="operator")
    _tie(platform, mate, mates_parent)
    inside = {
        "a classmate": platform.new_account(mate).login,
        "a classmate's parent": platform.new_account(mates_parent).login,
        "a teacher of another class": platform.new_account(_other_teacher(victim)).login,
        "a guardian of former years": _tied(victim, {"starts": "2019-09-01", "ends": "2021-08-31"}),
        "a contact of the pupil": _tied(victim, {"kind": "contact"}),
    }
    outside = {
        "another school's parent": demo_school.PARENT.login,
        "another school's pupil": demo_school.PUPIL.login,
        "another school's teacher": demo_school.OTHER_TEACHER.login,
        "another school's head": demo_school.HEAD.login,
        "somebody without a right": platform.stranger.login,
    }
    body = {"marks": [{"pupil": victim.pupil, "score": "7", "comment": COMMENT}]}
    path = f"/v1/assessments/{victim.assessment}"
    by = victim.teacher_account.login
    wait_until(lambda: platform.call("POST", f"{path}/marks", body, by=by).status == 200, 10, "news of the pupil")
    platform.ok("POST", f"{path}/publication", by=by)
    _wait_for_families(platform, {victim.account.login: victim.pupil, inside["a classmate's parent"]: mate})
    return Scene(platform, victim, inside | outside)


def _person(school: Sandbox, role: str) -> str:
    body = {"given_name": "Camille", "family_name": "Voisin", "roles": [{"name": role, "uai": school.uai}]}
    return str(school.platform.ok("POST", "/v1/people", body, by="operator")["id"])


def _tie(platform: Platform, pupil: str, adult: str, link: Mapping[str, str] | None = None) -> None:
    body = {"kind": "legal_guardian", **(link or {})}
    platform.ok("PUT", f"/v1/pupils/{pupil}/guardians/{adult}", body, by="operator")


def _tied(victim: Sandbox, link: Mapping[str, str]) -> str:
    """The login of an adult whose tie to the very pupil gives no right."""
    adult = _person(victim, "guardian")
    _tie(victim.platform, victim.pupil, adult, link)
    return victim.platform.new_account(adult).login


def _other_teacher(school: Sandbox) -> str:
    ok, teacher = school.platform.ok, _person(school, "teacher")
    year = ok("GET", f"/v1/groups/{school.group}", by="operator")["school_year"]
    group = ok(
        "POST", "/v1/groups", {"uai": school.uai, "school_year": year, "kind": "class", "name": "5e1"}, by="operator"
    )
    subject = {"subject": {"code": "SVT", "label": "Sciences"}}
    ok("PUT", f"/v1/groups/{group['id']}/teachers/{teacher}", subject, by="operator")
    return teacher


def _wait_for_families(platform: Platform, families: Mapping[str, str]) -> None:
    def known(login: str, pupil: str) -> bool:
        paths = (f"/v1/pupils/{pupil}/grades", f"/v1/feed?child={pupil}")
        return all(platform.call("GET", path, by=login).status == 200 for path in paths)

    wait_until(lambda: all(known(*one) for one in families.items()), 10, "news of the families")
