"""Asking for another's child at every endpoint of the platform's own description: nothing is shown, nothing is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.abuse.operators import undescribed
from tests.abuse.scene import Scene
from tests.abuse.sockets import get, session_of
from tests.journeys.sandbox import Sandbox
from tests.journeys.test_bad_input import bodies, operations
from tests.platform import Platform, Reply

ELSEWHERE = frozenset({"get /v1/stream", "post /v1/sessions", "post /v1/activations", "get /v1/sign-in"})
"""The stream is listened to meanwhile; who signs in is nobody yet (test_guessing.py)."""
OF_ONESELF = frozenset(
    {
        *("delete /v1/sessions/current", "get /v1/tokens", "get /v1/schemas/{type}", "get /v1/openapi.json"),
        *("get /v1/me", "get /v1/schools", "post /v1/schools", "get /v1/feed"),
        *("get /v1/me/notifications", "put /v1/me/notifications", "get /v1/me/messages"),
    }
)
"""Operations that name nobody: they show the caller's own things, or what is everybody's."""
OPEN = frozenset({"get /v1/schemas/{type}", "get /v1/openapi.json"})
"""Answered to who has no session."""
SCHOOL = frozenset({"get /v1/schools/{uai}", "get /v1/schools/{uai}/groups"})
"""What who is something at a school may read of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for something of a school's."""

    name: str
    method: str
    path: str
    body: Any
    headers: dict[str, str]


@pytest.fixture(scope="module")
def description(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = platform.ok("GET", "/v1/openapi.json", by="operator")
    return found


def requests(description: dict[str, Any], of: Sandbox) -> Iterator[Asked]:
    """Every operation, aimed at this school; where the query may name somebody, with and without."""
    ids = {"group": of.group, "child": of.pupil, "person": of.pupil}
    for method, path, operation in operations(description):
        name = f"{method} {path}"
        if name in ELSEWHERE:
            continue
        query = [one for one in operation.get("parameters", ()) if one["in"] == "query" and one["name"] in ids]
        named = {one["name"]: ids[one["name"]] for one in query}
        needed = {one["name"]: ids[one["name"]] for one in query if one.get("required")}
        for given in [needed] if named == needed else [needed, named]:
            target = of.path(path) + ("?" + urlencode(given) if given else "")
            headers = {"If-Match": '"1"'} if name == "patch /v1/assessments/{id}" else {}
            told = name if given == needed else f"{name} by {', '.join(given)}"
            yield Asked(told, method.upper(), target, bodies(of).get(name), headers)


def asked(platform: Platform, one: Asked, by: str | None) -> Reply:
    return platform.call(one.method, one.path, one.body, by=by, headers=one.headers)


def seen(reply: Reply) -> tuple[int, Any, dict[str, str]]:
    """All that a caller could tell two refusals apart by."""
    body = {k: v for k, v in reply.body.items() if k != "request"} if isinstance(reply.body, dict) else reply.body
    return reply.status, body, {k: v for k, v in reply.headers.items() if k != "x-request-id"}


def shown(reply: Reply, scene: Scene) -> list[str]:
    text = json.dumps([reply.body, reply.headers], ensure_ascii=False)
    return [secret for secret in scene.telling if secret in text]


def fault(one: Asked, reply: Reply, nothing: Reply, scene: Scene) -> str | None:
    """What is wrong with the answer to a stranger, beside the answer about what does not exist."""
    if told := shown(reply, scene):
        return f"shows {told}"
    if reply.status >= 500:
        return f"status {reply.status}"
    if one.name in OF_ONESELF or (one.name in SCHOOL and reply.status == 200):
        return None
    if reply.status not in (403, 404) and (reply.status, one.name) != (422, "post /v1/activation-codes"):
        return f"is not refused: {reply.status} {reply.body}"
    return None if seen(reply) == seen(nothing) else f"tells that it exists: {seen(reply)} for {seen(nothing)}"


def test_no_operation_is_forgotten(description: dict[str, Any], scene: Scene) -> None:
    there, missing = requests(description, scene.victim), requests(description, scene.unknown)
    same = {a.name for a, b in zip(there, missing, strict=True) if (a.path, a.body) == (b.path, b.body)}
    assert same == OF_ONESELF
    assert {f"{method} {path}" for method, path, _ in operations(description)} >= ELSEWHERE


async def test_nobody_learns_anything_of_another_family(description: dict[str, Any], scene: Scene) -> None:
    platform, victim = scene.platform, scene.victim
    tokens = [await asyncio.to_thread(platform.token, login) for login in scene.strangers.values()]
    own = await asyncio.to_thread(platform.ok, "GET", f"/v1/pupils/{victim.pupil}/grades", by=victim.account.login)
    assert [grade["assessment"] for grade in own["grades"]] == [victim.assessment]
    async with listening(platform, tokens) as streams:
        assert await asyncio.to_thread(faults_of_all, description, scene) == []
        await asyncio.to_thread(correct, scene)
        await pass_by(platform, streams)
        assert {stream.status for stream in streams} == {200}
        assert [secret for stream in streams for secret in scene.telling if secret.encode() in stream.heard] == []


def faults_of_all(description: dict[str, Any], scene: Scene) -> list[str]:
    before, wrong = scene.victim.stored(), []
    there, missing = list(requests(description, scene.victim)), list(requests(description, scene.unknown))
    for (who, login), (one, other) in itertools.product(scene.strangers.items(), zip(there, missing, strict=True)):
        replies = asked(scene.platform, one, login), asked(scene.platform, other, login)
        if found := fault(one, *replies, scene):
            wrong.append(f"{who}: {one.name} {found}")
    for one in there:
        reply = asked(scene.platform, one, None)
        if one.name not in OPEN and (reply.status != 401 or shown(reply, scene)):
            wrong.append(f"nobody: {one.name}: {reply.status}")
    for (_, method, path), login in itertools.product(undescribed(), scene.strangers.values()):
        if (reply := scene.platform.call(method, path, by=login)).status != 404:
            wrong.append(f"{login}: {method} {path}: {reply.status}")
    assert scene.victim.stored() == before
    return wrong


def correct(scene: Scene) -> None:
    """Give the pupil news that every stream could carry, were it anybody's."""
    marks = {"marks": [{"pupil": scene.victim.pupil, "score": "8", "comment": "Un secret de famille, corrigé"}]}
    path = f"/v1/assessments/{scene.victim.assessment}/marks"
    scene.platform.ok("POST", path, marks, by=scene.victim.teacher_account.login)


class Heard:
    """A stream and all it has said."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self.worker = answer.headers.get("Preau-Worker", "")
        self.heard = bytearray()
        self._answer = answer
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for chunk in self._answer.content.iter_any():
            self.heard += chunk
            self._news.set()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(15):
            while words not in self.heard:
                self._news.clear()
                await self._news.wait()

    async def close(self) -> None:
        self._task.cancel()
        self._answer.close()


async def opened(http: aiohttp.ClientSession, platform: Platform, token: str) -> Heard:
    return Heard(await http.get(f"{platform.base_url}/v1/stream", headers={"Authorization": f"Bearer {token}"}))


@asynccontextmanager
async def listening(platform: Platform, tokens: list[str]) -> AsyncIterator[list[Heard]]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=60)))
        streams = [await opened(http, platform, token) for token in tokens]
        for stream in streams:
            stack.push_async_callback(stream.close)
        yield streams


async def pass_by(platform: Platform, streams: list[Heard]) -> None:
    """Wait until each worker has sent something that was published after all this."""
    token = await asyncio.to_thread(platform.token, platform.guardian.login)
    title = f"Après {uuid.uuid4()}"
    async with listening(platform, []), aiohttp.ClientSession() as http:
        waiting = {stream.worker for stream in streams}
        witnesses: list[Heard] = []
        for _ in range(60):
            witness = await opened(http, platform, token)
            if witness.worker in waiting:
                waiting.remove(witness.worker)
                witnesses.append(witness)
            else:
                await witness.close()
            if not waiting:
                break
        assert not waiting
        await asyncio.to_thread(platform.post_grade, 0, title=title, score="12")
        for witness in witnesses:
            await witness.until(title.encode())
            await witness.close()


@pytest.mark.parametrize("page", ["/?enfant=", "/notes?enfant="])
async def test_pages_answer_for_anothers_child_as_for_nobodys(scene: Scene, page: str) -> None:
    platform = scene.platform
    cookie = await session_of(platform, platform.guardian)
    answers = [await get(platform, page + id, cookie) for id in (scene.victim.pupil, str(uuid.uuid4()))]
    assert [(one.status, one.headers["location"], one.body) for one in answers] == [(303, "/", b"")] * 2
