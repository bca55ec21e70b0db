"""The mailbox's pages in a real browser, at a phone's width: they pass axe, and nothing of a message runs."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect

from infra.local.control import ask
from tests.platform import Platform

PIXEL = "http://127.0.0.1:9/pixel"
HTML = f"""<h1 style="color: teal">Bonjour</h1><script>parent.document.title = "ran"; document.title = "ran"</script>
<img src="{PIXEL}" alt=""><a href="{PIXEL}">un lien</a>"""
SUBJECT = "Une évaluation de Léa a été corrigée"


def send(smtp: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "preau@example.org", "famille@example.org", SUBJECT
    message.set_content("14,5 sur 20")
    message.add_alternative(HTML, subtype="html")
    host, _, port = smtp.partition(":")
    with smtplib.SMTP(host, int(port), timeout=10) as client:
        client.send_message(message)


def test_a_message_comes_and_is_shown_without_running(
    platform: Platform, context: Callable[..., BrowserContext]
) -> None:
    status = ask(platform.home, "status") or {}
    page = context().new_page()
    refused: list[tuple[str, str | None]] = []
    page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    page.goto(status["mailbox"])
    expect(page.get_by_text(SUBJECT)).to_have_count(0)
    send(status["smtp"])
    # It comes by itself.
    expect(page.get_by_text(SUBJECT)).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    page.get_by_text(SUBJECT).click()
    expect(page.frame_locator("iframe").get_by_role("heading")).to_have_text("Bonjour")
    assert page.title() == f"{SUBJECT} – Préau"
    assert refused == [(PIXEL, "csp")]
    page.evaluate("document.querySelector('iframe').remove()")
    assert Axe().run(page).response["violations"] == []
    width: int = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
