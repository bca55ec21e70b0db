"""The platform keeps to its own OpenAPI document: schemathesis makes requests from it and reads the answers by it.

Whatever is drawn, the demo school stays as it is: its number and the logins of its people are never sent as the target.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from cli import demo_school
from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Platform

Case = schemathesis.Case[Any]
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=6, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
PROBLEM = ["application/problem+json"]
ENDLESS = "/v1/stream"
"""Never ends its answer; the streams have journeys of their own."""
COUNTED = ("/v1/sessions", "/v1/activations")
"""Attempts to sign in are counted by address, and all journeys have the same one."""


@pytest.fixture(scope="module")
def description(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = platform.ok("GET", "/v1/openapi.json", by="operator")
    return found


def operations(description: dict[str, Any]) -> Iterator[Any]:
    """What is tried, removals last."""
    read: list[Any] = list(schemathesis.openapi.from_dict(description).get_all_operations())
    found = [one.ok() for one in read]
    yield from sorted((o for o in found if o.path not in (ENDLESS, *COUNTED)), key=lambda o: o.method == "delete")


def faults(platform: Platform, operation: Any, by: str, aim: Callable[[Case], None]) -> list[str]:
    """What is wrong with the answers to requests drawn for an operation and aimed at somebody."""
    found = []

    @BOUNDED
    @given(case=operation.as_strategy())
    def tried(case: Case) -> None:
        aim(case)
        answer = case.call(base_url=platform.base_url, headers={"Authorization": f"Bearer {platform.token(by)}"})
        if answer.status_code >= 400 and answer.headers.get("content-type") != PROBLEM:
            found.append(f"{operation.label}: {answer.status_code} is no problem document")
        try:
            case.validate_response(answer, checks=CHECKS)
        except* AssertionError as group:
            found.extend(f"{operation.label} as {by}: {fault}" for fault in group.exceptions)

    tried()
    return found


def at_large(case: Case) -> None:
    """Keep what was drawn away from the demo's people: Hypothesis draws words it finds in our sources, logins too."""
    if "login" in case.path_parameters:
        case.path_parameters["login"] = f"nobody-{case.path_parameters['login']}"[:100]
    assume(demo_school.UAI not in json.dumps([dict(case.path_parameters), case.body], default=repr))


def own_child(child: str, case: Case) -> None:
    """Let a parent read of a child of theirs."""
    at_large(case)
    if case.operation.method == "get":
        if case.operation.path.startswith("/v1/pupils/"):
            case.path_parameters["id"] = child
        if "child" in case.query:
            case.query["child"] = child


def inside(sandbox: Sandbox, case: Case) -> None:
    """Aim what was drawn at the sandbox."""
    template = case.operation.path.split("/")
    aimed = dict(zip(template, sandbox.path(case.operation.path).split("/"), strict=True))
    for name in case.path_parameters:
        case.path_parameters[name] = aimed[f"{{{name}}}"]
    day = sandbox.platform.school_day()
    known = {
        "uai": sandbox.uai, "group": sandbox.group, "pupil": sandbox.pupil, "person": sandbox.adult,
        "held_on": str(day), "school_year": demo_school.current_school_year(day), "child": sandbox.pupil,
    }  # fmt: skip
    case.body = _with(case.body, known)
    for name in case.query.keys() & known.keys():
        case.query[name] = known[name]
    if "If-Match" in case.headers:
        case.headers["If-Match"] = '"1"'


def _with(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: known.get(name) or _with(inner, known) for name, inner in value.items()}
    return [_with(inner, known) for inner in value] if isinstance(value, list) else value


def test_answers_to_an_operator_keep_to_the_description(platform: Platform, description: dict[str, Any]) -> None:
    wrong = [fault for one in operations(description) for fault in faults(platform, one, "operator", at_large)]
    assert not wrong, "\n".join(wrong)


def test_answers_to_a_parent_keep_to_the_description(platform: Platform, description: dict[str, Any]) -> None:
    parent = platform.guardian.login
    children = platform.ok("GET", "/v1/me", by=parent)["children"]
    aim, wrong = partial(own_child, children[0]["id"]), []
    for operation in operations(description):
        wrong += faults(platform, operation, parent, aim)
    assert not wrong, "\n".join(wrong)


def test_answers_about_what_exists_keep_to_the_description(platform: Platform, description: dict[str, Any]) -> None:
    sandbox = made_sandbox(platform)
    aim, wrong = partial(inside, sandbox), []
    for operation in operations(description):
        teaching = operation.path.startswith("/v1/assessments")
        by = sandbox.teacher_account.login if teaching else "operator"
        wrong += faults(platform, operation, by, aim)
    assert not wrong, "\n".join(wrong)


def test_the_description_of_events_is_for_everybody(platform: Platform) -> None:
    reply = platform.call("GET", "/v1/asyncapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["cache-control"].startswith("public, max-age=")
    assert reply.body["asyncapi"] == "3.0.0"
