"""Script in every text that anybody may write: it stays text on every page, on the stream and in every e-mail."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from cli import demo_school
from infra.local.control import ask
from infra.local.processes import wait_until
from tests.browser.visits import NewContext, sign_in, wait_until_live
from tests.journeys.test_bad_input import operations
from tests.platform import Login, Platform

SEEN = {
    "post /v1/schools": ("name", "terms.title"),
    "post /v1/groups": ("name",),
    "post /v1/people": ("given_name", "family_name", "email"),
    "put /v1/groups/{id}/teachers/{person}": ("subject.code", "subject.label"),
    "post /v1/assessments": ("subject", "title"),
    "post /v1/assessments/{id}/marks": ("marks.comment", "reason"),
    "post /v1/sessions": ("login",),
    "post /v1/activations": ("code", "own.login"),
}
"""Texts that reach a page or an e-mail, or could; the tests write script into each."""
ALSO_BY = {
    "patch /v1/schools/{uai}": ("name", "terms.title"),
    "patch /v1/groups/{id}": ("name",),
    "patch /v1/people/{id}": ("given_name", "family_name", "email"),
    "patch /v1/assessments/{id}": ("title",),
    "delete /v1/assessments/{id}/marks/{pupil}": ("reason",),
}
"""Other ways to write the same texts."""
NEVER_SHOWN = {
    "post /v1/people": ("phone",),
    "patch /v1/people/{id}": ("phone",),
    "post /v1/schools": ("zone",),
    "patch /v1/schools/{uai}": ("zone",),
    "post /v1/sessions": ("password",),
    "post /v1/accounts": ("login", "password"),
    "put /v1/accounts/{login}/password": ("password",),
    "post /v1/activations": ("own.password",),
    "post /v1/tokens": ("account", "name"),
}
"""A zone is one of the world's, a phone number has digits alone; passwords and what programs are called stand on no page."""
SHOWN = {
    "parent": (
        *("first", "live", "given", "school", "group", "subject", "comment", "term"),
        *("parent", "guardian-family"),
    ),
    "pupil": ("first", "live", "given", "subject", "comment", "term", "pupil-family"),
    "teacher": ("teacher", "teacher-family", "school"),
}
"""The hostile texts of the stage that each must see somewhere on their pages."""
ON_NO_PAGE = ("code", "reason", "mail")
"""What a subject is called by programs, why a mark was changed, how a guardian is reached."""
HEADER = "\r\nBcc: voleur@exemple.invalid\r\n\r\n"


def script(name: str) -> str:
    """Markup that would run if it were any, in every way it could; short enough for every field."""
    return f"\"'><script>hit('{name}')</script><img src=x onerror=hit(1)>"


@dataclass(frozen=True, slots=True)
class Stage:
    """A school all of whose texts are hostile, and those who read of it: parent, teacher, and the pupil `child`."""

    platform: Platform
    parent: Login
    address: str
    teacher: Login
    child: Login
    pupil: str
    group: str

    def grade(self, title: str) -> None:
        """A published grade with a hostile comment and reason."""
        day, by = str(self.platform.school_day()), self.teacher.login
        body = {"group": self.group, "title": title, "held_on": day, "subject": script("code")[:64]}
        made: list[str] = []

        def done() -> bool:
            reply = self.platform.call("POST", "/v1/assessments", body, by=by)
            made.extend([reply.body["id"]] if reply.status == 201 else [])
            return bool(made)

        wait_until(done, 10, "news of the group")
        marks = {
            "marks": [{"pupil": self.pupil, "score": "7", "comment": script("comment")}],
            "reason": script("reason"),
        }
        self.platform.ok("POST", f"/v1/assessments/{made[0]}/marks", marks, by=by)
        self.platform.ok("POST", f"/v1/assessments/{made[0]}/publication", by=by)


@pytest.fixture(scope="module")
def stage(platform: Platform) -> Stage:
    """The hostile school; the pupil's name would be a header of an e-mail besides."""
    year = demo_school.current_school_year(platform.school_day())
    uai = f"092{uuid.uuid4().int % 10_000:04d}H"
    span = {"school_year": year, "starts": f"{year - 1}-08-01", "ends": f"{year}-08-01"}
    school = {
        "uai": uai, "name": script("school"), "terms": [{**span, "title": script("term")}],
        "school_years": [{"year": year, "starts": span["starts"], "ends": span["ends"]}],
    }  # fmt: skip
    platform.ok("POST", "/v1/schools", school, by="operator")
    group = {"uai": uai, "school_year": year, "kind": "class", "name": script("group")}
    group_id = platform.ok("POST", "/v1/groups", group, by="operator")["id"]
    address = f"famille-{uuid.uuid4()}@exemple.org"

    def person(role: str, given: str, email: str | None = None) -> str:
        names = {"given_name": given, "family_name": script(f"{role}-family"), "email": email}
        return str(
            platform.ok("POST", "/v1/people", names | {"roles": [{"name": role, "uai": uai}]}, by="operator")["id"]
        )

    pupil = person("pupil", script("given") + HEADER + "fin")
    parent, teacher = person("guardian", script("parent"), address), person("teacher", script("teacher"))
    subject = {"code": script("code")[:64], "label": script("subject")}
    platform.ok("PUT", f"/v1/groups/{group_id}/teachers/{teacher}", {"subject": subject}, by="operator")
    platform.ok("PUT", f"/v1/groups/{group_id}/pupils/{pupil}", {}, by="operator")
    platform.ok("PUT", f"/v1/pupils/{pupil}/guardians/{parent}", {"kind": "legal_guardian"}, by="operator")
    other = person("guardian", "Ami", f"a@{script('mail').replace(' ', '/')}")
    platform.ok("PUT", f"/v1/pupils/{pupil}/guardians/{other}", {"kind": "contact"}, by="operator")
    logins = (platform.new_account(parent), address, platform.new_account(teacher), platform.new_account(pupil))
    found = Stage(platform, *logins, pupil, group_id)
    feed = f"/v1/feed?child={pupil}"
    wait_until(lambda: platform.call("GET", feed, by=found.parent.login).status == 200, 10, "news of the family")
    return found


def texts(schema: Mapping[str, Any], components: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """The fields of a body that take free text."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    for option in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from texts(option, components, name)
    if schema.get("type") == "string" and not {"format", "enum", "pattern", "const"} & schema.keys():
        yield name
    if "items" in schema:
        yield from texts(schema["items"], components, name)
    for key, inner in schema.get("properties", {}).items():
        yield from texts(inner, components, f"{name}.{key}" if name else key)


def test_no_text_is_forgotten(platform: Platform) -> None:
    description = platform.ok("GET", "/v1/openapi.json", by="operator")
    components, found = description["components"]["schemas"], dict[str, set[str]]()
    for method, path, operation in operations(description):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if names := set(texts(body["schema"], components)) if body else set():
            found[f"{method} {path}"] = names
    known = dict[str, set[str]]()
    for table in (SEEN, ALSO_BY, NEVER_SHOWN):
        for name, fields in table.items():
            known.setdefault(name, set()).update(fields)
    assert found == known


def watched(page: Page) -> list[str]:
    """Everything that runs or is fetched on this page and should not be."""
    seen: list[str] = []

    def asked(request: Request) -> None:
        if request.url.endswith("/x"):
            seen.append(request.url)

    def spoke(dialog: Dialog) -> None:
        seen.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.expose_function("hit", lambda what: seen.append(f"ran: {what}"))
    page.on("dialog", spoke)
    page.on("request", asked)
    page.on("pageerror", lambda error: seen.append(str(error)))
    return seen


def unescaped(page: Page) -> list[str]:
    """Elements that only our texts could have made."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('script:not([src]), [onerror], [onload], img[src=x]')].map(e => e.outerHTML)"
    )
    return found


@pytest.mark.parametrize("who", SHOWN)
def test_no_text_runs_on_any_page_or_on_the_stream(stage: Stage, context: NewContext, who: str) -> None:
    # The policy of the pages would stop what must not be there at all.
    page = context(bypass_csp=True).new_page()
    seen, hears, read = watched(page), "live" in SHOWN[who], ""
    if hears:
        stage.grade(script("first"))
    sign_in(page, stage.platform, {"parent": stage.parent, "pupil": stage.child, "teacher": stage.teacher}[who])
    wait_until_live(page)
    if hears:
        stage.grade(script("live"))
        expect(page.locator("#days .item").first).to_contain_text("hit('live')")
    read += page.content()
    assert (unescaped(page), seen) == ([], [])
    for path in (
        "/", f"/?enfant={stage.pupil}", "/?rubrique=grades", "/notes", f"/notes?enfant={stage.pupil}", "/notifications",
    ):  # fmt: skip
        page.goto(stage.platform.base_url + path)
        read += page.content()
        assert (unescaped(page), seen) == ([], [])
    # What no page showed was not tried.
    assert [name for name in SHOWN[who] if f"hit('{name}')" not in read] == []
    assert [name for name in ON_NO_PAGE if f"hit('{name}')" in read] == []


def test_what_is_typed_or_asked_for_comes_back_as_text(platform: Platform, context: NewContext) -> None:
    page = context(bypass_csp=True).new_page()
    seen = watched(page)
    for path, field, others in (
        ("/connexion", "#login", {"#password": "a long password"}),
        ("/activation", "#login", {"#password": "a long password", "#code": "AAAA"}),
    ):
        page.goto(platform.base_url + path)
        for name, value in others.items():
            page.fill(name, value)
        page.fill(field, script("typed"))
        page.click("main button[type=submit]")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator(field)).to_have_value(script("typed"))
        assert (unescaped(page), seen) == ([], [])
    quoted = quote(script("asked"), safe="")
    for path in (
        f"/{quoted}", f"/connexion?suite={quoted}", f"/connexion?erreur={quoted}", f"/notes?enfant={quoted}",
        f"/?avant={quoted}", f"/langue/{quoted}", f"/connexion?suite=/?{quoted}", f"/v1/{quoted}", f"/v1/sign-in/{quoted}",
    ):  # fmt: skip
        reply = platform.call("GET", path)
        assert not re.search(r"<(script>|img src=x)", str(reply.body)), path


def mails_to(platform: Platform, address: str) -> list[dict[str, Any]]:
    base = (ask(platform.home, "status") or {})["mailbox"]
    with urllib.request.urlopen(f"{base}/messages.json?to={address}", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["messages"]
    return found


def test_no_text_runs_in_an_email_or_becomes_a_header_of_it(stage: Stage, context: NewContext) -> None:
    base = (ask(stage.platform.home, "status") or {})["mailbox"]
    stage.grade(script("mailed"))
    wait_until(lambda: bool(mails_to(stage.platform, stage.address)), 30, "the message")
    (*_, newest) = mails_to(stage.platform, stage.address)
    with urllib.request.urlopen(f"{base}/messages/{newest['id']}.json", timeout=10) as answer:
        mail = json.load(answer)
    assert newest["to"] == [stage.address]
    assert {name.lower() for name, _ in mail["headers"]}.isdisjoint({"bcc", "cc"})
    assert mails_to(stage.platform, "voleur@exemple.invalid") == []
    assert "hit(" in mail["html"] + mail["text"]
    assert re.search(r"<(script|img)[^>]*(hit|src=x)", mail["html"]) is None
    page = context(bypass_csp=True).new_page()
    seen = watched(page)
    for path in ("/", f"/messages/{newest['id']}", f"/messages/{newest['id']}/html", f"/?q={stage.address}"):
        page.goto(base + path)
        assert (unescaped(page), seen) == ([], [])
