"""The page of notifications over HTTP, with a public API that answers as its document says, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.portal.app import build
from services.portal.client import SESSION_COOKIE, PublicApi
from services.portal.settings import PortalSettings
from services.portal.words import FR
from tests.portal.test_preferences import CHOSEN, LEA

HOST = "https://preau.example"
ME = {"person": {"id": LEA["id"], "given_name": "Claire", "family_name": "M"}, "roles": [], "children": [LEA]}
FORM = {"language": "en", "email": "on", "category": ["grades", "news"]}


@dataclass
class Gateway:
    """What stands where the gateway would: what it answers, and what it was told."""

    status: int = 200
    put: list[tuple[Any, str | None]] = field(default_factory=list)

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application()
        app.router.add_get("/v1/me", self._me)
        app.router.add_get("/v1/me/notifications", self._chosen)
        app.router.add_put("/v1/me/notifications", self._choose)
        app.router.add_get("/v1/me/messages", self._messages)
        return app

    async def _me(self, _: web.Request) -> web.Response:
        return web.json_response(ME)

    async def _chosen(self, _: web.Request) -> web.Response:
        return web.json_response(CHOSEN, status=self.status)

    async def _choose(self, request: web.Request) -> web.Response:
        self.put.append((await request.json(), request.headers.get("Origin")))
        return web.json_response(CHOSEN, status=self.status)

    async def _messages(self, _: web.Request) -> web.Response:
        return web.json_response({"messages": [], "next": None}, status=self.status)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def browser(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with TestServer(gateway.app()) as server:
        settings = PortalSettings(gateway_url=str(server.make_url("")), port=1)
        public = PublicApi(settings)
        await public.start()
        transport = httpx.ASGITransport(build(settings, public))
        cookies = {SESSION_COOKIE: "some-session"}
        async with httpx.AsyncClient(transport=transport, base_url=HOST, cookies=cookies) as client:
            yield client
        await public.stop()


async def test_the_form_shows_what_was_chosen(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/notifications")
    assert answer.status_code == 200
    assert 'value="grades" checked' in answer.text
    assert 'value="absences">' in answer.text
    assert "m…@exemple.fr" in answer.text
    assert FR.messages_none in answer.text


async def test_the_form_is_saved_whole_and_its_origin_goes_on(browser: httpx.AsyncClient, gateway: Gateway) -> None:
    answer = await browser.post("/notifications", data=FORM, headers={"Origin": HOST})
    assert (answer.status_code, answer.headers["location"]) == (303, "/notifications?enregistre")
    categories = {"grades": True, "absences": False, "homework": False, "news": True}
    assert gateway.put == [({"language": "en", "email": {"enabled": True}, "categories": categories}, HOST)]
    assert FR.saved in (await browser.get(answer.headers["location"])).text


async def test_a_form_of_another_site_is_refused(browser: httpx.AsyncClient, gateway: Gateway) -> None:
    answer = await browser.post("/notifications", data=FORM, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert gateway.put == []


async def test_a_form_that_makes_no_sense_is_not_saved(browser: httpx.AsyncClient, gateway: Gateway) -> None:
    answer = await browser.post("/notifications", data={"language": "xx"}, headers={"Origin": HOST})
    assert answer.status_code == 422
    assert FR.not_saved in answer.text
    assert gateway.put == []


@pytest.mark.parametrize("status", [404, 503])
async def test_without_the_api_a_sentence_stands(browser: httpx.AsyncClient, gateway: Gateway, status: int) -> None:
    gateway.status = status
    shown = await browser.get("/notifications")
    assert shown.status_code == 503
    assert FR.notifications_unavailable in shown.text
    assert FR.messages_unavailable in shown.text
    saved = await browser.post("/notifications", data=FORM, headers={"Origin": HOST})
    assert saved.status_code == 503
    assert FR.not_saved in saved.text
