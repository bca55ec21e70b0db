"""Bad input at every endpoint of the platform's own description: a 4xx problem document, and nothing stored."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest

from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Platform, Reply

WRITES = ("post", "put", "patch", "delete")
HERE = "@here@"
NO_JSON_NUMBER = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" + "0" * 400, "1" + "0" * 5000)
ANYTHING = (
    "null", "true", "-1", "0.1", "{}", "[]", "[[]]", '""', '" "', '"\\u0000"', '"\\ud800"', '"\\u202e\\u2066"', '"🙂"',
    '"' + "x" * 100_000 + '"', "[" * 400 + "]" * 400, '{"a": {"b": {}}}', '"2026-13-45"', '"0000-00-00"', '"NaN"',
    '"1e400"', "9007199254740993", '"; DROP TABLE marks; --"',
)  # fmt: skip
BROKEN = (
    b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"a": 1}', b"[" * 100_000, b'{"a":' * 50_000, b"{} {}",
    b'{"\\u0000": 1}', b"NaN",
)  # fmt: skip
BAD_PARAMETERS = ("", "%00", "NaN", "-1", "1e400", "9" * 400, "x", "%F0%9F%99%82", "%ff", "a" * 5000, "..%2f..", "[]")
AS_TEACHER = "/v1/assessments"


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Sandbox:
    return made_sandbox(platform)


@pytest.fixture(scope="module")
def description(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = platform.ok("GET", "/v1/openapi.json", by="operator")
    return found


def bodies(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """A sound body of each operation that takes one."""
    day = str(sandbox.platform.school_day())
    year = int(day[:4])
    period = {"starts": day, "ends": None}
    subject = {"code": "SVT", "label": "Sciences"}
    return {
        "post /v1/sessions": {"login": "nobody-here", "password": "not a password"},
        "post /v1/accounts": {"login": "new", "password": "long enough", "person": sandbox.adult},
        "put /v1/accounts/{login}/password": {"password": "long enough"},
        "post /v1/activation-codes": {"people": [sandbox.adult]},
        "post /v1/activations": {"code": "AAAA-AAAA-AAAA", "own": {"login": "new", "password": "long enough"}},
        "post /v1/tokens": {"account": sandbox.account.login, "name": "new", "expires_in": 3600},
        "post /v1/schools": {"uai": "0929998X", "name": "Neuf", "zone": "Europe/Paris", "school_years": [], "terms": []},
        "patch /v1/schools/{uai}": {"name": "Autre", "opened_to": []},
        "post /v1/groups": {"uai": sandbox.uai, "school_year": year, "kind": "class", "name": "6e8"},
        "patch /v1/groups/{id}": {"name": "6e7", "form_teachers": [sandbox.teacher], "ended": False},
        "put /v1/groups/{id}/pupils/{person}": period,
        "put /v1/groups/{id}/teachers/{person}": {**period, "subject": subject},
        "post /v1/people": {
            "given_name": "Zoé", "family_name": "É", "email": "z@exemple.invalid", "phone": "0102030405",
            "birth_date": "2014-02-03", "roles": [{"name": "pupil", "uai": sandbox.uai}],
        },
        "patch /v1/people/{id}": {"given_name": "Zoé", "email": None, "birth_date": "1980-02-03"},
        "put /v1/people/{id}/roles/{uai}/{role}": period,
        "put /v1/pupils/{id}/guardians/{person}": {**period, "kind": "contact"},
        "post /v1/assessments": {
            "group": sandbox.group, "subject": "MATHS", "title": "T", "held_on": day, "out_of": 20, "coefficient": 1,
            "optional": False, "bonus": False, "due": {"pupils": None, "guardians": f"{day}T18:00:00+01:00"},
        },
        "patch /v1/assessments/{id}": {"title": "T", "held_on": day, "out_of": 20, "coefficient": 1},
        "post /v1/assessments/{id}/marks": {
            "marks": [{"pupil": sandbox.pupil, "score": 12, "comment": "Bien"}], "reason": "Parce que",
        },
        "delete /v1/assessments/{id}/marks/{pupil}": {"reason": "Parce que"},
        "put /v1/me/notifications": {
            "language": "fr", "email": {"enabled": True},
            "categories": {"grades": True, "absences": True, "homework": True, "news": True},
        },
    }  # fmt: skip


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def schema_of(description: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else {**content["schema"], "components": description["components"]}


def spoiled(body: Any) -> Iterator[tuple[str, str]]:
    """Every value of a body replaced by every bad one, and an unknown field put into every object."""
    for name, holed in holes(body):
        for raw in (*NO_JSON_NUMBER, *ANYTHING):
            yield name, json.dumps(holed).replace(f'"{HERE}"', raw)


def holes(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield "unknown", {**value, "no_such_field": HERE}
        for key, inner in value.items():
            yield key, {**value, key: HERE}
            for name, holed in holes(inner):
                yield f"{key}.{name}", {**value, key: holed}
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            for name, holed in holes(inner):
                yield f"{n}.{name}", [*value[:n], holed, *value[n + 1 :]]


def breaks(schema: dict[str, Any], text: str) -> bool:
    """Whether a body is wrong by the description, or holds a number that JSON or no field of ours has."""
    try:
        value = json.loads(text)
    except ValueError:
        return True
    if any(isinstance(leaf, int | float) and not -1e300 < leaf < 1e300 for leaf in leaves(value)):
        return True
    return not jsonschema.Draft202012Validator(schema).is_valid(value)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif not (isinstance(value, float) and math.isnan(value)):
        yield value
    else:
        yield math.inf


def actor(path: str, sandbox: Sandbox) -> str:
    return sandbox.teacher_account.login if path.startswith(AS_TEACHER) else "operator"


def refused(reply: Reply) -> str | None:
    """What is wrong with a refusal; None where it is a 4xx problem document."""
    if not 400 <= reply.status < 500:
        return f"status {reply.status}"
    if reply.headers.get("content-type") != "application/problem+json" or not reply.body.get("code"):
        return f"{reply.status} is no problem document"
    if reply.status == 422 and not all(
        {"field", "rule", "message"} <= e.keys() for e in reply.body.get("errors", [{}])
    ):
        return "422 names no field and rule"
    return None


def test_every_write_with_a_body_is_tried(description: dict[str, Any], sandbox: Sandbox) -> None:
    described = {f"{method} {path}" for method, path, op in operations(description) if schema_of(description, op)}
    assert described == set(bodies(sandbox))


OPERATIONS = (
    "post /v1/sessions", "post /v1/accounts", "put /v1/accounts/{login}/password",
    "post /v1/activation-codes", "post /v1/activations", "post /v1/tokens", "post /v1/schools",
    "patch /v1/schools/{uai}", "post /v1/groups", "patch /v1/groups/{id}", "put /v1/groups/{id}/pupils/{person}",
    "put /v1/groups/{id}/teachers/{person}", "post /v1/people", "patch /v1/people/{id}",
    "put /v1/people/{id}/roles/{uai}/{role}", "put /v1/pupils/{id}/guardians/{person}", "post /v1/assessments",
    "patch /v1/assessments/{id}", "post /v1/assessments/{id}/marks", "delete /v1/assessments/{id}/marks/{pupil}",
    "put /v1/me/notifications",
)  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bad_bodies_are_refused_and_store_nothing(
    operation: str, description: dict[str, Any], sandbox: Sandbox
) -> None:
    method, _, path = operation.partition(" ")
    schema = schema_of(description, description["paths"][path][method])
    assert schema is not None
    before, wrong = sandbox.stored(), []
    for name, text in spoiled(bodies(sandbox)[operation]):
        if breaks(schema, text):
            reply = send(sandbox, method, path, text.encode())
            if fault := refused(reply):
                wrong.append(f"{name} = {text[:90]}: {fault}")
    optional = "anyOf" in schema
    for content in BROKEN:
        if optional and content in (b"", b"null"):
            continue
        if fault := refused(send(sandbox, method, path, content)):
            wrong.append(f"{content[:40]!r}: {fault}")
    assert not wrong, "\n".join(wrong)
    assert sandbox.stored() == before


def test_bad_parameters_are_refused(description: dict[str, Any], sandbox: Sandbox) -> None:
    before, wrong = sandbox.stored(), []
    for method, path, operation in operations(description):
        for parameter in operation.get("parameters", ()):
            for value in BAD_PARAMETERS if parameter["in"] != "header" else ():
                reply = sandbox.platform.call(
                    method.upper(), target(sandbox, path, parameter, value), by=actor(path, sandbox)
                )
                # A parameter may be bad for nobody: a name is looked for and not found, a filter finds nothing.
                if reply.status >= 500 or (reply.status >= 400 and refused(reply)):
                    wrong.append(f"{method} {path} {parameter['name']}={value[:40]}: {reply.status} {refused(reply)}")
    assert not wrong, "\n".join(wrong)
    assert sandbox.stored() == before


def target(sandbox: Sandbox, path: str, parameter: dict[str, Any], value: str) -> str:
    if parameter["in"] == "query":
        return f"{sandbox.path(path)}?{quote(parameter['name'])}={value}"
    parts = [value if part == f"{{{parameter['name']}}}" else part for part in path.split("/")]
    return sandbox.path("/".join(parts))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_strange_bodies_that_keep_to_the_description_are_no_error_of_ours(
    operation: str, description: dict[str, Any], platform: Platform
) -> None:
    method, _, path = operation.partition(" ")
    sandbox, wrong = made_sandbox(platform), []
    schema = schema_of(description, description["paths"][path][method])
    assert schema is not None
    for name, text in spoiled(bodies(sandbox)[operation]):
        if not breaks(schema, text):
            reply = send(sandbox, method, path, text.encode())
            if reply.status >= 400 and (fault := refused(reply)):
                wrong.append(f"{name} = {text[:90]}: {fault}")
    assert not wrong, "\n".join(wrong)


def send(sandbox: Sandbox, method: str, path: str, content: bytes) -> Reply:
    headers = {"If-Match": '"1"'} if method == "patch" and path.startswith(AS_TEACHER) else {}
    return sandbox.platform.call(
        method.upper(), sandbox.path(path), data=content, headers=headers, by=actor(path, sandbox)
    )


def test_no_endpoint_answers_without_a_right(description: dict[str, Any], sandbox: Sandbox) -> None:
    free = {"/v1/openapi.json", "/v1/schemas/{type}", "/v1/sessions", "/v1/sign-in", "/v1/activations"}
    wrong = []
    for method, path, _ in operations(description):
        body = bodies(sandbox).get(f"{method} {path}")
        reply = sandbox.platform.call(method.upper(), sandbox.path(path), body)
        if path not in free and (reply.status != 401 or refused(reply)):
            wrong.append(f"{method} {path}: {reply.status}")
    assert not wrong, "\n".join(wrong)
