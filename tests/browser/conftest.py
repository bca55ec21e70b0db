"""A real Chromium, and what the browser tests ask of the running platform."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 10_000


class Login(Protocol):
    """How a person of the demo school signs in."""

    @property
    def login(self) -> str:
        """The account."""

    @property
    def password(self) -> str:
        """Its password."""


class Platform(Protocol):
    """The whole platform, running, with the demo school; the fixture `platform` gives it."""

    @property
    def base_url(self) -> str:
        """Where the gateway listens, without a slash at the end."""

    @property
    def guardian(self) -> Login:
        """A legal guardian of two children at least, with published grades."""

    @property
    def teacher(self) -> Login:
        """The teacher in whose name grades are posted; has no child at the school."""

    @property
    def stranger(self) -> Login:
        """A person with an account and no right at all."""

    @property
    def children(self) -> list[str]:
        """Given names of the guardian's children, in the order of `GET /v1/me`."""

    def post_grade(self, child: int, *, title: str, score: str, comment: str | None = None) -> str:
        """Create an assessment out of 20, mark the guardian's nth child and publish; returns the assessment's id."""

    def correct_grade(self, assessment: str, child: int, *, score: str) -> None:
        """Correct that mark."""

    def withdraw_grade(self, assessment: str, child: int) -> None:
        """Withdraw that mark."""


OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a module's own, since Playwright's loop must not be there when another module's tests bring theirs."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        told = "no Chromium on this machine: install Debian's package chromium, say"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Opens browser contexts the size of a phone, and closes them; options are Playwright's."""
    opened: list[BrowserContext] = []

    def make(width: int = 390, **options: object) -> BrowserContext:
        given = {"locale": "fr-FR", "viewport": {"width": width, "height": 844}, **options}
        made = browser.new_context(**given)  # type: ignore[arg-type]
        made.set_default_timeout(PATIENCE)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()
