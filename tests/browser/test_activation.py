"""A family's way in with a provider and an activation code, in a real browser over the whole running platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from infra.local.processes import wait_until
from tests.browser.conftest import PATIENCE
from tests.journeys.sandbox import Sandbox, made_sandbox
from tests.platform import Platform
from tests.provider import PASSWORD, ProviderProcess

NewContext = Callable[..., BrowserContext]
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def provider(platform: Platform) -> Iterator[ProviderProcess]:
    url = platform.base_url
    found = ProviderProcess(platform.provider_port, [f"{url}/v1/sign-in/school/callback"], f"{url}/connexion?parti")
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Sandbox:
    return made_sandbox(platform)


def parent_with_code(platform: Platform, sandbox: Sandbox, name: str) -> str:
    """A legal guardian without an account; returns their activation code."""
    roles = [{"name": "guardian", "uai": sandbox.uai}]
    person = {"given_name": name, "family_name": "Martin", "roles": roles}
    id = platform.ok("POST", "/v1/people", person, by="operator")["id"]
    link = {"kind": "legal_guardian"}
    platform.ok("PUT", f"/v1/pupils/{sandbox.pupil}/guardians/{id}", link, by="operator")
    made: list[str] = []

    def done() -> bool:
        reply = platform.call("POST", "/v1/activation-codes", {"people": [id]}, by="operator")
        made.extend(one["code"] for one in reply.body.get("items", ()))
        return bool(made)

    wait_until(done, 10, "the gateway's news of the parent")
    return made[0]


def without_faults(page: Page) -> None:
    found: Any = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_parent_needs_the_code_the_first_time_alone(
    platform: Platform, sandbox: Sandbox, provider: ProviderProcess, context: NewContext
) -> None:
    code = parent_with_code(platform, sandbox, "Camille")
    page = context().new_page()
    page.goto(f"{platform.base_url}/connexion")
    without_faults(page)
    page.get_by_role("link", name="Se connecter avec le collège").click()
    page.fill("input[name=user]", "camille")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Activer mon compte")
    expect(page.locator(".lead")).to_contain_text("le collège")
    without_faults(page)
    page.fill("#code", "AAAA-AAAA-AAAA")
    page.click("main button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("inconnu")
    page.fill("#code", code.lower())
    page.click("main button[type=submit]")
    page.wait_for_url(f"{platform.base_url}/")
    expect(page.locator("main")).to_contain_text("Camille")
    page.locator(".account summary").click()
    page.get_by_role("button", name="Se déconnecter").click()
    # By way of the provider, whose session is over too.
    page.wait_for_url(f"{platform.base_url}/connexion?parti")
    expect(page.get_by_role("status")).to_contain_text("déconnecté")
    page.get_by_role("link", name="Se connecter avec le collège").click()
    page.fill("input[name=user]", "camille")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{platform.base_url}/")
    expect(page.locator("main")).to_contain_text("Camille")


def test_a_parent_chooses_a_login_with_a_code(platform: Platform, sandbox: Sandbox, context: NewContext) -> None:
    code = parent_with_code(platform, sandbox, "Dominique")
    page = context(320).new_page()
    page.goto(f"{platform.base_url}/connexion")
    page.get_by_role("link", name="J’ai un code d’activation").click()
    without_faults(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.fill("#code", code)
    page.fill("#login", platform.guardian.login)
    page.fill("#password", "une phrase que je retiens")
    page.click("main button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("déjà pris")
    page.fill("#login", f"dominique-{sandbox.uai}")
    page.fill("#password", "une phrase que je retiens")
    page.click("main button[type=submit]")
    page.wait_for_url(f"{platform.base_url}/")
    expect(page.locator("main")).to_contain_text("Dominique")


def test_a_refusal_is_said_in_a_sentence(platform: Platform, provider: ProviderProcess, context: NewContext) -> None:
    page = context().new_page()
    page.goto(f"{platform.base_url}/connexion")
    page.get_by_role("link", name="Se connecter avec le collège").click()
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("annulée")
