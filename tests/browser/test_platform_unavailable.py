"""The portal when the platform behind it does not answer: it says so, in words, with 503."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from urllib.error import HTTPError, URLError

import pytest
from playwright.sync_api import BrowserContext, expect

from services.portal.client import SESSION_COOKIE


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def lonely_portal() -> Iterator[str]:
    """A portal whose gateway is not there."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"PREAU_GATEWAY_URL": f"http://127.0.0.1:{free_port()}", "PREAU_PORT": str(port)}
    command = [sys.executable, "-c", "from services.portal.app import main; main()"]
    with subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.DEVNULL) as process:
        wait_for(f"{url}/connexion")
        yield url
        process.terminate()
        assert process.wait(10) == 0


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def test_the_home_page_says_that_the_platform_is_unavailable(
    lonely_portal: str, context: Callable[..., BrowserContext]
) -> None:
    page = context(extra_http_headers={"Cookie": f"{SESSION_COOKIE}=some-session"}).new_page()
    answer = page.goto(lonely_portal)
    assert answer is not None
    assert answer.status == 503
    assert "retry-after" in answer.headers
    expect(page.locator("h1")).to_have_text("Préau est momentanément indisponible")


def test_signing_in_says_that_the_password_is_not_at_fault(
    lonely_portal: str, context: Callable[..., BrowserContext]
) -> None:
    page = context().new_page()
    page.goto(f"{lonely_portal}/connexion")
    page.fill("#login", "claire")
    page.fill("#password", "secret")
    with page.expect_navigation() as navigation:
        page.click("main button[type=submit]")
    assert navigation.value is not None
    assert navigation.value.status == 503
    expect(page.get_by_role("alert")).to_contain_text("indisponible")
    expect(page.locator("#login")).to_have_value("claire")


def test_a_form_of_another_site_is_refused(lonely_portal: str) -> None:
    request = urllib.request.Request(
        f"{lonely_portal}/deconnexion", data=b"", headers={"Origin": "https://elsewhere.example"}
    )
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 403
    refused.value.close()
