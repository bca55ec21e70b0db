"""A school of its own for abuse: whatever is done to it, the demo school stays as it is."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg

from cli import demo_school
from cli.running_home import RunningHome
from infra.local.processes import wait_until
from tests.platform import Login, Platform

_STORED = {
    "directory": ("entities", "idempotency_keys"),
    "grades": ("assessments", "marks", "disclosures", "mark_changes", "idempotency_keys"),
    "gateway": ("accounts", "activation_codes", "credentials", "external_identities", "idempotency_keys"),
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Ids of what stands in the school; `names` are the values of path parameters."""

    platform: Platform
    uai: str
    group: str
    teacher: str
    pupil: str
    adult: str
    account: Login
    teacher_account: Login
    assessment: str
    token: str

    def path(self, template: str) -> str:
        """A path of the API with this school's ids in it."""
        person = {"guardians": self.adult, "pupils": self.pupil, "teachers": self.teacher}
        id = {"groups": self.group, "people": self.adult, "pupils": self.pupil, "assessments": self.assessment}
        parts = template.split("/")
        second = parts[2]
        values = {
            "{uai}": self.uai,
            "{role}": "guardian",
            "{login}": self.account.login,
            "{type}": "grades.grade.published.v1",
            "{pupil}": self.pupil,
            "{person}": person.get(parts[4], self.pupil) if len(parts) > 4 else "",
            "{id}": self.token if second == "tokens" else id.get(second, ""),
        }
        return "/".join(values.get(part, part) for part in parts)

    def stored(self) -> dict[str, tuple[int, int]]:
        """How many rows each table has that a write could change, and a sum of what is in them."""
        return asyncio.run(_stored(RunningHome.of(self.platform.home)))


async def _stored(running: RunningHome) -> dict[str, tuple[int, int]]:
    found = {}
    for service, tables in _STORED.items():
        connection = await asyncpg.connect(running.database_url(service))
        try:
            for table in tables:
                row = await connection.fetchrow(
                    f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t"
                )
                assert row is not None
                found[f"{service}.{table}"] = (int(row[0]), int(row[1]))
        finally:
            await connection.close()
    return found


_numbers = itertools.count(uuid.uuid4().int % 10_000)


def made_sandbox(platform: Platform) -> Sandbox:
    """Make a school with one group, teacher, pupil and adult, an account each for two, and an assessment."""
    day = platform.school_day()
    year = demo_school.current_school_year(day)
    # One of four digits, and no two sandboxes of a run may meet.
    uai = f"092{next(_numbers) % 10_000:04d}X"
    years = [{"year": year, "starts": f"{year - 1}-08-01", "ends": f"{year}-08-01"}]
    terms = [{"title": "T", "school_year": year, "starts": f"{year - 1}-08-01", "ends": f"{year}-08-01"}]
    ok = platform.ok
    ok("POST", "/v1/schools", {"uai": uai, "name": "Essais", "school_years": years, "terms": terms}, by="operator")
    group = {"uai": uai, "school_year": year, "kind": "class", "name": "6e9"}
    group_id = ok("POST", "/v1/groups", group, by="operator")["id"]
    teacher, pupil, adult = (new_person(platform, uai, role) for role in ("teacher", "pupil", "guardian"))
    subject = {"code": "MATHS", "label": "Mathématiques"}
    ok("PUT", f"/v1/groups/{group_id}/teachers/{teacher}", {"subject": subject}, by="operator")
    ok("PUT", f"/v1/groups/{group_id}/pupils/{pupil}", {}, by="operator")
    account, teacher_account = platform.new_account(adult), platform.new_account(teacher)
    body = {"group": group_id, "title": "Essai", "held_on": str(day)}
    assessment = once_known(platform, teacher_account, body)
    token = ok("POST", "/v1/tokens", {"account": account.login, "name": "t"}, by="operator")["id"]
    return Sandbox(platform, uai, group_id, teacher, pupil, adult, account, teacher_account, assessment, token)


def new_person(platform: Platform, uai: str, role: str) -> str:
    """Somebody in a role at a school; returns their id."""
    body = {"given_name": "Alix", "family_name": "Essai", "roles": [{"name": role, "uai": uai}]}
    return str(platform.ok("POST", "/v1/people", body, by="operator")["id"])


def once_known(platform: Platform, teacher: Login, body: dict[str, Any]) -> str:
    """Create an assessment once the grades service has heard of the group, its teacher and its pupil."""
    made: list[str] = []

    def done() -> bool:
        reply = platform.call("POST", "/v1/assessments", body, by=teacher.login)
        if reply.status == 201:
            made.append(reply.body["id"])
        return bool(made)

    wait_until(done, 10, "the news of the group")
    return made[0]
