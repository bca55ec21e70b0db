"""What the rules of a school refuse, and what they must not: all named with field and rule, nothing stored."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Platform, Reply

LEA, NOE = str(school.PUPIL.id), str(school.BROTHER.id)


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Sandbox:
    return made_sandbox(platform)


def named(reply: Reply) -> list[tuple[str, str]]:
    """The fields and rules a refusal names."""
    assert reply.status == 422, reply
    return [(error["field"], error["rule"]) for error in reply.body["errors"]]


def marks(sandbox: Sandbox, *given: dict[str, Any]) -> Reply:
    path = f"/v1/assessments/{sandbox.assessment}/marks"
    return sandbox.platform.call("POST", path, {"marks": list(given)}, by=sandbox.teacher_account.login)


def test_more_than_the_scale_is_refused(sandbox: Sandbox) -> None:
    before = sandbox.stored()
    assert named(marks(sandbox, {"pupil": sandbox.pupil, "score": 20.5})) == [("marks.0.score", "at-most-out-of")]
    assert sandbox.stored() == before


def test_fifteen_out_of_ten_is_refused_and_so_is_a_scale_below_a_mark(platform: Platform) -> None:
    assessment = platform.assessment("6e1", "Sur dix", out_of=10)
    body = {"marks": [{"pupil": LEA, "score": 15}]}
    reply = platform.call("POST", f"/v1/assessments/{assessment}/marks", body, by="prof")
    assert named(reply) == [("marks.0.score", "at-most-out-of")]
    platform.mark(assessment, [{"pupil": LEA, "score": "9.5"}])
    path = f"/v1/assessments/{assessment}"
    read = platform.call("GET", path, by="prof").headers["etag"]
    changed = platform.call("PATCH", path, {"out_of": 5}, by="prof", headers={"If-Match": read})
    assert named(changed) == [("out_of", "at-least-scores")]


def test_a_mark_for_a_pupil_of_another_group_refuses_the_whole_class(sandbox: Sandbox) -> None:
    before = sandbox.stored()
    reply = marks(sandbox, {"pupil": sandbox.pupil, "score": 12}, {"pupil": LEA, "score": 12})
    assert named(reply) == [("marks.1.pupil", "not-in-group")]
    twice = marks(sandbox, {"pupil": sandbox.pupil, "score": 12}, {"pupil": sandbox.pupil, "score": 13})
    assert named(twice) == [("marks.1.pupil", "repeated")]
    neither = marks(sandbox, {"pupil": sandbox.pupil}, {"pupil": sandbox.pupil, "score": 1, "code": "absent"})
    assert [field for field, _ in named(neither)] == ["marks.0", "marks.1"]
    assert sandbox.stored() == before


def test_a_day_outside_the_term_is_refused(sandbox: Sandbox) -> None:
    before, day = sandbox.stored(), sandbox.platform.school_day()
    for held_on in (day - timedelta(days=800), day + timedelta(days=800)):
        body = {"group": sandbox.group, "title": "Trop loin", "held_on": str(held_on)}
        reply = sandbox.platform.call("POST", "/v1/assessments", body, by=sandbox.teacher_account.login)
        assert named(reply) == [("held_on", "within-term")]
    assert sandbox.stored() == before


@pytest.mark.parametrize("login", ["prof", "parent", "eleve", "contact", "principale", "operator"])
def test_who_does_not_teach_a_group_cannot_tell_whether_it_exists(sandbox: Sandbox, login: str) -> None:
    platform = sandbox.platform
    platform.token(login)
    before, answers = sandbox.stored(), []
    for group, assessment in ((sandbox.group, sandbox.assessment), (str(uuid4()), str(uuid4()))):
        body = {"group": group, "title": "À d'autres", "held_on": str(platform.school_day())}
        given = {"marks": [{"pupil": sandbox.pupil, "score": 12}]}
        path = f"/v1/assessments/{assessment}"
        answers.append(
            [
                (reply.status, reply.body["code"])
                for reply in (
                    platform.call("POST", "/v1/assessments", body, by=login),
                    platform.call("POST", f"{path}/marks", given, by=login),
                    platform.call("POST", f"{path}/publication", by=login),
                    platform.call("GET", path, by=login),
                )
            ]
        )
    assert answers[0] == answers[1]
    assert {status for status, _ in answers[0]} <= {403, 404}
    assert sandbox.stored() == before


async def test_any_script_and_emoji_come_through_as_they_are(stage: Stage, platform: Platform) -> None:
    desk = stage.desks["6e1"]
    for text in ("تمارين الكسور", "תרגיל", "🧮👩‍🏫🇫🇷", "分数テスト", "Ĺ’été Ñandú ẞ", "a\u0301 combiné", "<b>&amp;\"'"):
        title = stage.title(text)
        assessment = await desk.assessment(title)
        await desk.mark(assessment, {LEA: Decimal(10)})
        await stage.expect(lambda title=title: stage.got(school.PARENT, title) == ["10/20"], text)  # type: ignore[misc]
    given = {"given_name": "محمد 🙂", "family_name": "בן־חיים", "roles": [{"name": "guardian", "uai": school.UAI}]}
    made = await asyncio.to_thread(platform.ok, "POST", "/v1/people", given, by="operator")
    assert (made["given_name"], made["family_name"]) == (given["given_name"], given["family_name"])


# Idempotency


def post_twice(sandbox: Sandbox, *bodies: dict[str, Any]) -> list[Reply]:
    key = {"Idempotency-Key": str(uuid4())}
    login = sandbox.teacher_account.login
    sandbox.platform.token(login)
    with ThreadPoolExecutor(len(bodies)) as pool:
        jobs = [
            pool.submit(sandbox.platform.call, "POST", "/v1/assessments", body, by=login, headers=key)
            for body in bodies
        ]
        return [job.result() for job in jobs]


def test_the_same_key_at_the_same_time_makes_one_assessment(sandbox: Sandbox) -> None:
    body = {"group": sandbox.group, "title": f"Une fois {uuid4()}", "held_on": str(sandbox.platform.school_day())}
    replies = post_twice(sandbox, *[body] * 6)
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body["id"] for reply in replies}) == 1
    assert sum("idempotency-replayed" in reply.headers for reply in replies) == 5
    path = f"/v1/assessments?group={sandbox.group}&limit=200"
    listed = sandbox.platform.ok("GET", path, by=sandbox.teacher_account.login)["assessments"]
    assert len([one for one in listed if one["title"] == body["title"]]) == 1


def test_the_same_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    body = {"group": sandbox.group, "title": "Une clé", "held_on": str(sandbox.platform.school_day())}
    replies = post_twice(sandbox, body, {**body, "title": "La même clé"})
    assert sorted(reply.status for reply in replies) == [201, 422]
    refused = next(reply for reply in replies if reply.status == 422)
    assert refused.body["code"] == "idempotency-key-reused"
    assert named(refused) == [("Idempotency-Key", "reused")]
