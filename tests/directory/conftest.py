"""The directory's own database, an import in one call, and its API behind a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import uvicorn
from multidict import CIMultiDictProxy

from chassis.database import Database
from chassis.idempotency import Writes
from chassis.identity import TokenSigner
from chassis.process import listen
from chassis.settings import HttpSettings
from infra.local.home import Home
from services.directory.app import MIGRATIONS, http
from services.directory.importing.report import Report
from services.directory.importing.usecase import Options, import_oneroster
from tests.conftest import open_database
from tests.directory.packages import Package


@pytest.fixture
async def directory(database_url: str) -> AsyncIterator[Database]:
    """The directory's database, empty."""
    opened = await open_database(database_url, MIGRATIONS)
    yield opened
    await opened.close()


class Import(Protocol):
    """Imports a package."""

    def __call__(
        self, package: Package, *, authority: tuple[str, ...] = (), dry_run: bool = False
    ) -> Awaitable[Report]: ...


@pytest.fixture
def load(directory: Database, tmp_path: Path) -> Import:
    """Import a package with these options."""

    async def imported(package: Package, *, authority: tuple[str, ...] = (), dry_run: bool = False) -> Report:
        options = Options(authority=authority, dry_run=dry_run)
        return await import_oneroster(directory, package.write(tmp_path), options)

    return imported


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: CIMultiDictProxy[str]
    body: Any


class Api:
    """Calls the directory's API as somebody."""

    def __init__(self, client: aiohttp.ClientSession, base: str, signer: TokenSigner) -> None:
        self._client, self._base, self._signer = client, base, signer

    async def __call__(self, who: str, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """`who` is `people/<id>` or `operators/<login>`; header names take underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = f"Bearer {self._signer.sign(who, 'directory')}"
        async with self._client.request(method, self._base + path, json=body, headers=sent) as answer:
            raw = await answer.read()
            return Answer(answer.status, answer.headers, json.loads(raw) if raw else None)


@pytest.fixture
async def api(directory: Database, home: Home) -> AsyncIterator[Api]:
    """The directory's API on a port of its own."""
    settings = HttpSettings()
    app = http(settings, str(home.public_key), directory, Writes(directory))
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    signer = TokenSigner(home.private_key.read_bytes())
    async with aiohttp.ClientSession() as client:
        yield Api(client, f"http://127.0.0.1:{sock.getsockname()[1]}", signer)
    server.should_exit = True
    await task
