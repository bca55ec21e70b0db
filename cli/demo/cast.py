"""Who takes part: tokens, the class, and who may see whose grades, all asked of the public API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from cli.demo.checker import Ledger, Right
from cli.demo.client import Api, ApiProblem
from cli.demo.desk import Desk

_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody signed in; `id` is their person's."""

    login: str
    name: str
    id: str
    api: Api
    token_id: str


@dataclass
class Cast:
    """Everybody signed in by login, with the operator who lets them in."""

    operator: Api
    members: dict[str, Member] = field(default_factory=dict)

    async def sign_in(self, login: str) -> Member:
        """A token for an account, by the operator; and who that is."""
        body = {"account": login, "name": "demo", "expires_in": _TOKEN_SECONDS}
        issued = await self.operator.post("/v1/tokens", body)
        api = Api(self.operator.session, self.operator.base_url, issued["token"], self.operator.patience)
        person = (await api.get("/v1/me"))["person"]
        name = f"{person['given_name']} {person['family_name']}"
        self.members[login] = Member(login, name, person["id"], api, issued["id"])
        return self.members[login]


@asynccontextmanager
async def gathered(
    session: aiohttp.ClientSession, base_url: str, operator_token: str, logins: Sequence[str], patience: float
) -> AsyncIterator[Cast]:
    """Sign everybody in; their tokens are revoked at the end."""
    cast = Cast(Api(session, base_url, operator_token, patience))
    try:
        for login in logins:
            await cast.sign_in(login)
        yield cast
    finally:
        for member in cast.members.values():
            with suppress(ApiProblem, aiohttp.ClientError, TimeoutError):
                await cast.operator.call("DELETE", f"/v1/tokens/{member.token_id}")


async def desk_of(teacher: Api, ledger: Ledger, uai: str, group_name: str) -> Desk:
    """The teacher's desk for one of their groups; raises LookupError when they teach none of that name."""
    groups = (await teacher.get(f"/v1/schools/{uai}/groups", teacher="me"))["groups"]
    found = next((group for group in groups if group["name"] == group_name and not group["ended"]), None)
    if found is None:
        raise LookupError(f"{group_name} is none of their groups: {[group['name'] for group in groups]}")
    school = await teacher.get(f"/v1/schools/{uai}")
    listed = await teacher.get(f"/v1/groups/{found['id']}")
    day = school_day(school, found["school_year"])
    pupils = [pupil["id"] for pupil in listed["pupils"] if _runs(pupil, day)]
    return Desk(teacher, ledger, found["id"], pupils, day)


def school_day(school: dict[str, Any], school_year: int) -> date:
    """Today where it is in a term of the year, else the term's day that is nearest."""
    today = datetime.now(ZoneInfo(school["zone"])).date()
    days = []
    for term in school["terms"]:
        if term["school_year"] == school_year:
            first, after = date.fromisoformat(term["starts"]), date.fromisoformat(term["ends"])
            days.append(min(max(today, first), date.fromordinal(after.toordinal() - 1)))
    return min(days, key=lambda day: abs((day - today).days))


async def rights_of(cast: Cast, uai: str, pupils: Sequence[str]) -> list[Right]:
    """Who of the cast may see which pupils' grades: the pupils themselves, and those with authority over them."""
    school = await cast.operator.get(f"/v1/schools/{uai}")
    reading = {"legal_guardian", *school["opened_to"]}
    today = datetime.now(UTC).astimezone(ZoneInfo(school["zone"])).date()
    by_person = {member.id: member for member in cast.members.values()}
    rights = []
    for pupil in pupils:
        if pupil in by_person:
            rights.append(Right(by_person[pupil].name, f"pupils:pupils/{pupil}"))
        links = (await cast.operator.get(f"/v1/pupils/{pupil}/guardians"))["guardians"]
        rights += [
            Right(by_person[link["person"]].name, f"guardians:pupils/{pupil}")
            for link in links
            if link["person"] in by_person and link["kind"] in reading and _runs(link, today)
        ]
    return rights


def _runs(period: dict[str, Any], day: date) -> bool:
    starts, ends = period.get("starts"), period.get("ends")
    return (not starts or date.fromisoformat(starts) <= day) and (not ends or day < date.fromisoformat(ends))
