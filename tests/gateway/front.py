"""The gateway without its stream: everything it answers over HTTP, on real PostgreSQL alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import uvicorn

from chassis.database import Database
from chassis.identity import TokenSigner
from infra.local.ports import free_port
from roster.replica import ROSTER
from services.gateway import app, usecases
from services.gateway.app import GATEWAY
from services.gateway.authentication import Authenticator
from services.gateway.limits import Limited, RequestLimits
from services.gateway.openid.http import ProviderHttp
from services.gateway.settings import GatewaySettings
from services.gateway.upstream import InwardTokens, Upstream
from tests import rosters
from tests.conftest import open_database

SECRET = "a secret of thirty-two bytes, at least"


@dataclass
class Browser:
    """A browser's cookies, whatever host set them, and requests as a browser makes them: no redirect followed."""

    url: str
    http: aiohttp.ClientSession
    cookies: dict[str, str]

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        place = path if path.startswith("http") else self.url + path
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()), **options.pop("headers", {})}
        if method != "GET":
            headers.setdefault("Sec-Fetch-Site", "same-origin")
        async with self.http.request(method, place, headers=headers, allow_redirects=False, **options) as answer:
            for name, cookie in answer.cookies.items():
                self.cookies[name] = cookie.value
                if not cookie.value:
                    del self.cookies[name]
            text = await answer.text()
            is_json = "json" in answer.content_type
            return answer.status, (await answer.json(content_type=None) if is_json and text else text), answer

    async def to_provider(self, suite: str = "/") -> str:
        """Begin a sign-in; returns where the provider is to be asked."""
        status, _, answer = await self.ask("GET", f"/v1/sign-in/school?suite={suite}")
        assert status == 303
        return answer.headers["Location"]

    async def agreed(self, place: str, user: str, answer: str = "yes", password: str = "correct horse battery") -> str:
        """Sign in at the provider; returns where it sends the browser back to."""
        form = {"user": user, "password": password, "answer": answer}
        status, body, response = await self.ask("POST", place, data=form)
        assert status == 302, body
        return response.headers["Location"]

    async def sign_in(self, user: str = "camille", **options: str) -> str:
        """The whole way; returns where in the portal it ends."""
        back = await self.agreed(await self.to_provider(**options), user)
        status, body, response = await self.ask("GET", back)
        assert status == 303, body
        return response.headers["Location"]


@dataclass
class FrontDoor:
    """A running gateway without its stream."""

    url: str
    database: Database
    http: aiohttp.ClientSession
    operator: str

    def browser(self) -> Browser:
        """A browser without cookies."""
        return Browser(self.url, self.http, {})

    async def codes(self, *people: str, by: str | None = None) -> tuple[int, Any]:
        """Make activation codes."""
        body = {"people": [str(rosters.uid(one)) for one in people]}
        headers = {"Authorization": f"Bearer {by or self.operator}"}
        async with self.http.post(f"{self.url}/v1/activation-codes", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def code(self, person: str) -> str:
        """One person's activation code."""
        status, body = await self.codes(person)
        assert status == 201, body
        return str(body["items"][0]["code"])

    async def account(self, person: str, login: str, password: str = "a long password") -> None:
        """Make an account."""
        body = {"login": login, "password": password, "person": str(rosters.uid(person))}
        headers = {"Authorization": f"Bearer {self.operator}"}
        async with self.http.post(f"{self.url}/v1/accounts", json=body, headers=headers) as answer:
            assert answer.status == 201


@contextlib.asynccontextmanager
async def opened(database_url: str, private_key: str, **options: Any) -> AsyncIterator[FrontDoor]:
    """A front door with the small school behind it."""
    port = options.pop("port", None) or free_port()
    given = {
        "database_url": database_url, "kafka": "127.0.0.1:1", "token_private_key": private_key,
        "cursor_secret": SECRET, "services": {}, "public_url": f"http://127.0.0.1:{port}", "provider_seconds": 1,
    }  # fmt: skip
    settings = GatewaySettings.model_validate(given | options)
    database = await open_database(database_url, ROSTER, GATEWAY)
    authenticator = Authenticator(database)
    upstream = Upstream({}, InwardTokens(TokenSigner(private_key.encode())), 1, 1)
    http, client = ProviderHttp(settings.provider_seconds), aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    await http.open()
    async with database.transaction() as connection:
        operator = await usecases.bootstrap_operator(connection)
        await rosters.fill(connection, *rosters.small_school())
    served = Limited(
        app.front_app(settings, database, authenticator, upstream, http),
        RequestLimits(app.rates(settings), authenticator),
    )
    server = uvicorn.Server(uvicorn.Config(served, port=port, log_config=None, lifespan="off", proxy_headers=True))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield FrontDoor(f"http://127.0.0.1:{port}", database, client, operator)
    server.should_exit = True
    await running
    await client.close()
    await http.close()
    await database.close()


def query(url: str) -> dict[str, str]:
    """The query of an address."""
    return dict(parse_qsl(urlsplit(url).query))
