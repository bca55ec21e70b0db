"""Requests hidden in bodies that the gateway sends on over kept connections: no service ever takes one for a request."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.identity import TokenSigner
from infra.local.processes import wait_until
from tests.abuse.scene import COMMENT, Scene
from tests.abuse.sockets import exchange, wire
from tests.platform import Platform

ROUNDS = 10
"""How often both families ask afterwards: each of the gateway's workers and its kept connections come up."""


@dataclass(frozen=True, slots=True)
class Family:
    """Who asks for their own, and what of it is nobody else's."""

    login: str
    pupil: str
    assessment: str


@dataclass(frozen=True, slots=True)
class Target:
    """A write that a service would honour, and where its effect is read; `reads` is where families read of theirs."""

    service: str
    person: str
    method: str
    path: str
    body: Mapping[str, Any]
    effect: Callable[[], Any]
    carriers: tuple[tuple[str, str], ...]
    """Methods and paths of the requests it is hidden in."""
    reads: Callable[[Family], str]
    own: Callable[[Family], str]
    """What a family's answers name, and nobody else's do."""


@pytest.fixture
def families(scene: Scene) -> tuple[Family, Family]:
    """The family that is wronged and another; both have a grade and were told of it."""
    platform, victim = scene.platform, scene.victim
    child = platform.ok("GET", "/v1/me", by=platform.guardian.login)["children"][0]["id"]
    made = platform.post_grade(0, title="Chacun le sien", score="12")
    found = Family(victim.account.login, victim.pupil, victim.assessment), Family(platform.guardian.login, child, made)

    def told() -> bool:
        pages = [platform.ok("GET", "/v1/me/messages", by=one.login)["messages"] for one in found]
        return all(one.pupil in {each["pupil"] for each in page} for one, page in zip(found, pages, strict=True))

    wait_until(told, 15, "messages of both families")
    return found


def of_notify(scene: Scene) -> Target:
    """The victim's choices, in the victim's name."""
    path, by = "/v1/me/notifications", scene.victim.account.login
    muted = dict.fromkeys(("grades", "absences", "homework", "news"), False)
    return Target(
        "notify", scene.victim.adult, "PUT", path, {"language": "en", "email": {"enabled": False}, "categories": muted},
        lambda: scene.platform.ok("GET", path, by=by),
        tuple((method, "/v1/me/messages") for method in ("GET", "HEAD", "DELETE", "POST", "PUT", "OPTIONS")),
        lambda _: "/v1/me/messages", lambda family: family.pupil,
    )  # fmt: skip


def of_grades(scene: Scene) -> Target:
    """The victim's mark, in the teacher's name."""
    victim, by = scene.victim, scene.victim.teacher_account.login
    path = f"/v1/assessments/{victim.assessment}/marks"
    marks = [{"pupil": victim.pupil, "score": "19", "comment": "Glissé"}]
    return Target(
        "grades", victim.teacher, "POST", path, {"marks": marks},
        lambda: scene.platform.ok("GET", f"{path}/{victim.pupil}/history", by=by),
        (("POST", path), ("PUT", path), ("GET", f"/v1/pupils/{victim.pupil}/grades")),
        lambda family: f"/v1/pupils/{family.pupil}/grades", lambda family: family.assessment,
    )  # fmt: skip


def hidden(scene: Scene, target: Target) -> bytes:
    """The write as bytes, with a token that its service takes; signed anew each time, since it soon ends."""
    signer = TokenSigner(scene.platform.home.private_key.read_bytes())
    token, body = signer.sign(f"people/{target.person}", target.service), json.dumps(target.body).encode()
    head = f"{target.method} {target.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def framings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each way to say how long a body is, and the body so sent."""
    yield f"Content-Length: {len(data)}", data
    yield "Transfer-Encoding: chunked", f'{len(data):x};a="b"\r\n'.encode() + data + b"\r\n0\r\n\r\n"


async def honoured(address: str, data: bytes) -> bool:
    """Whether a service that is sent these bytes does what they say."""
    async with wire(address) as connection:
        await connection.send(data)
        answer = await connection.answer()
    return answer is not None and answer.status == 200


async def carried(platform: Platform, method: str, path: str, token: str, framing: str, data: bytes) -> int:
    """The status of a request with such a body."""
    async with wire(platform.base_url) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n"
        await connection.send(head.encode() + data)
        return int((await connection.reader.readline()).split()[1])


@pytest.mark.parametrize("target_of", [of_notify, of_grades], ids=["notify", "grades"])
async def test_a_write_hidden_in_a_body_is_never_done(
    scene: Scene, services: dict[str, str], families: tuple[Family, Family], target_of: Callable[[Scene], Target]
) -> None:
    """Sent on under another length, or with a method that has no body, it would be the next request of a kept connection."""
    platform, target = scene.platform, target_of(scene)
    plain = await asyncio.to_thread(target.effect)
    assert await honoured(services[target.service], hidden(scene, target))
    assert await asyncio.to_thread(target.effect) != plain, "what is hidden would change nothing"
    await asyncio.to_thread(restore, scene)
    before = await asyncio.to_thread(target.effect)
    token = await asyncio.to_thread(platform.token, platform.stranger.login)
    for method, path in target.carriers:
        for framing, data in framings(hidden(scene, target)):
            status = await carried(platform, method, path, token, framing, data)
            assert status < 500, (method, path, framing)
    await each_their_own(platform, target, families)
    assert await asyncio.to_thread(target.effect) == before


async def each_their_own(platform: Platform, target: Target, families: tuple[Family, Family]) -> None:
    tokens = [await asyncio.to_thread(platform.token, one.login) for one in families]
    for _, (family, token) in itertools.product(range(ROUNDS), zip(families, tokens, strict=True)):
        answer = await exchange(platform, "GET", target.reads(family), {"Authorization": f"Bearer {token}"})
        assert answer.status == 200
        assert [one for one in families if target.own(one).encode() in answer.body] == [family]


def restore(scene: Scene) -> None:
    """Give back what the test itself changed: the choices and the mark that the scene has."""
    victim, ok = scene.victim, scene.platform.ok
    chosen = {"language": "fr", "email": {"enabled": True}}
    all_of_it = dict.fromkeys(("grades", "absences", "homework", "news"), True)
    ok("PUT", "/v1/me/notifications", chosen | {"categories": all_of_it}, by=victim.account.login)
    marks = {"marks": [{"pupil": victim.pupil, "score": "7", "comment": COMMENT}]}
    ok("POST", f"/v1/assessments/{victim.assessment}/marks", marks, by=victim.teacher_account.login)
