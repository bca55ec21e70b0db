"""The demo school as a benchmark uses it: a class, one guardian of each pupil with a token, a teacher's assessments."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import aiohttp

from bench.wire import request
from cli import demo_school
from cli.demo.cast import school_day
from cli.running_home import RunningHome
from cli.tokens import make_token

_PASSWORD = "bench-bench-2027"  # noqa: S105 - of accounts that end with the benchmark's home
_TOKEN_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class Family:
    """A pupil and the token of one legal guardian."""

    pupil: str
    token: str


@dataclass(frozen=True)
class School:
    """What posts and streams need."""

    url: str
    teacher: str
    """The teacher's token."""
    group: str
    day: date
    families: Sequence[Family]


class Client:
    """JSON over HTTP for preparations; what is measured goes over `bench.wire`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def call(self, method: str, path: str, token: str, body: object = None) -> Any:
        """The answer's body; raises RuntimeError for a refusal."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
            return json.loads(text) if text else None


async def school(running: RunningHome) -> School:
    """The first class of the demo school with a guardian's account for each pupil who has one."""
    operator = running.operator_token()
    async with aiohttp.ClientSession() as session:
        client = Client(session, running.url)
        teacher = await make_token(running.url, operator, demo_school.TEACHER.login, "bench", _TOKEN_SECONDS)
        path = f"/v1/schools/{demo_school.UAI}/groups?teacher=me"
        groups = (await client.call("GET", path, teacher))["groups"]
        group = next(g for g in groups if g["name"].startswith(demo_school.CLASSES[0]) and "Math" in g["name"])
        place = await client.call("GET", f"/v1/schools/{demo_school.UAI}", teacher)
        pupils = [p["id"] for p in (await client.call("GET", f"/v1/groups/{group['id']}", teacher))["pupils"]]
        found = await asyncio.gather(*(_family(client, running.url, operator, pupil) for pupil in pupils))
    families = [family for family in found if family is not None]
    return School(running.url, teacher, group["id"], school_day(place, group["school_year"]), families)


async def _family(client: Client, url: str, operator: str, pupil: str) -> Family | None:
    links = (await client.call("GET", f"/v1/pupils/{pupil}/guardians", operator))["guardians"]
    guardian = next((link["person"] for link in links if link["kind"] == "legal_guardian"), None)
    if guardian is None:
        return None
    login = f"bench-{uuid4()}"
    await client.call("POST", "/v1/accounts", operator, {"login": login, "password": _PASSWORD, "person": guardian})
    return Family(pupil, await make_token(url, operator, login, "bench", _TOKEN_SECONDS))


async def assessments(place: School, count: int, title: str) -> list[str]:
    """Published assessments out of 1000 in the class; returns their ids."""
    async with aiohttp.ClientSession() as session:
        client = Client(session, place.url)
        made = []
        for number in range(count):
            body = {"group": place.group, "title": f"{title} {number}", "held_on": str(place.day), "out_of": 1000}
            made.append((await client.call("POST", "/v1/assessments", place.teacher, body))["id"])
            await client.call("POST", f"/v1/assessments/{made[-1]}/publication", place.teacher)
    return made


def marks(place: School, assessment: str, scores: dict[str, str]) -> bytes:
    """The request that posts these scores by pupil."""
    body = json.dumps({"marks": [{"pupil": pupil, "score": score} for pupil, score in scores.items()]}).encode()
    path = f"/v1/assessments/{assessment}/marks"
    return request("POST", path, place.teacher, body, {"Idempotency-Key": str(uuid4())})
