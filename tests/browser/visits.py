"""What the browser tests of every page do: sign in, wait for the stream, ask axe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PATIENCE, Login, Platform

NewContext = Callable[..., BrowserContext]

expect.set_options(timeout=PATIENCE)


def sign_in(page: Page, platform: Platform, person: Login) -> None:
    """Sign in by the form."""
    page.goto(f"{platform.base_url}/connexion")
    page.fill("#login", person.login)
    page.fill("#password", person.password)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{platform.base_url}/")


def family_page(context: BrowserContext, platform: Platform) -> Page:
    """The page of the guardian, signed in."""
    page = context.new_page()
    sign_in(page, platform, platform.guardian)
    return page


def wait_until_live(page: Page) -> None:
    """Wait until the page hears the stream."""
    expect(page.locator("#state")).to_have_attribute("data-state", "live")


def mark_as_not_reloaded(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    page.evaluate("document.body.dataset.here = 'still'")


def was_not_reloaded(page: Page) -> bool:
    """Whether the mark is still there."""
    return bool(page.evaluate("document.body.dataset.here === 'still'"))


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe finds wrong with the page as it stands."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [{"rule": each["id"], "where": [node["html"] for node in each["nodes"]]} for each in found]


def fits(page: Page) -> bool:
    """Whether the page is no wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
