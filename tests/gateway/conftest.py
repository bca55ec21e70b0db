"""A whole gateway on a port of its own: real PostgreSQL, real Kafka, and small services behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chassis.database import Database
from chassis.process import Process
from contracts.directory import BEAT_KEY, Beat
from contracts.envelope import Audience, Envelope, Event, new_id, to_headers
from contracts.feed import Category, ItemPut, Text, pupil_scope
from infra.local.kafka import Kafka
from infra.local.ports import free_port
from roster import replica
from roster.replica import ROSTER
from services.gateway import app, usecases
from services.gateway.app import GATEWAY, Topics
from services.gateway.settings import GatewaySettings
from tests import rosters
from tests.conftest import open_database

SECRET = "a secret of thirty-two bytes, at least"
_sequences = itertools.count(1)


@dataclass
class Services:
    """What stands behind the gateway: it answers what it was asked, or what a test tells it to."""

    url: str = ""
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    asked: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        body = await request.read()
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response({"path": request.path_qs, "body": body.decode(), "headers": dict(request.headers)})


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    """A running service that stands for all of them."""
    found = Services()
    served = web.Application(client_max_size=1 << 24)
    served.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(served, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    found.url = f"http://127.0.0.1:{port}"
    yield found
    await runner.cleanup()


@dataclass
class Gateway:
    """A running gateway and the means to feed it."""

    url: str
    database: Database
    http: aiohttp.ClientSession
    producer: AIOKafkaProducer
    topics: Topics
    process: Process
    operator: str
    admin: str

    async def change(self, document: Event, *, known: bool = True) -> int:
        """Change the directory; `known` has the roster's database hear of it too. Returns its sequence."""
        sequence = next(_sequences)
        event = rosters.received(rosters.key_of(document), document, sequence=sequence)
        if known:
            async with self.database.transaction() as connection:
                await replica.apply(connection, [event])
        await self.send_change(document, sequence)
        return sequence

    async def send_change(self, document: Event, sequence: int) -> None:
        await self._send(self.topics.directory, rosters.key_of(document), document, "/directory", sequence)

    async def beat(self, said_at: datetime | None = None) -> None:
        """Beat once; `said_at` is what the directory's clock says."""
        await self._send(self.topics.directory, BEAT_KEY, Beat(), "/directory", None, time=said_at)

    async def publish(
        self,
        pupil: str,
        title: str,
        *,
        sequence: int | None = None,
        position: int | None = None,
        kind: str | None = None,
    ) -> tuple[int, int]:
        """Publish an item to a pupil's guardians, under another type if one is given; returns its offset and its sequence."""
        number = next(_sequences) if sequence is None else sequence
        item = item_of(pupil, title)
        offset = await self._send(self.topics.feed, f"grades:{item.scope}", item, "/feed", number, position, kind)
        return offset, number

    async def _send(
        self,
        topic: str,
        key: str,
        event: Event,
        source: str,
        sequence: int | None,
        position: int | None = None,
        kind: str | None = None,
        time: datetime | None = None,
    ) -> int:
        envelope = Envelope(
            id=new_id(), type=kind or event.TYPE, source=source, subject=key, key=key, time=time or datetime.now(UTC),
            sequence=sequence, directory_position=position,
        )  # fmt: skip
        body = event.model_dump_json().encode()
        sent = await self.producer.send_and_wait(topic, body, key.encode(), headers=to_headers(envelope))
        return int(sent.offset)

    async def token(self, person: str) -> str:
        """A token of a person, whose account is made when it is absent."""
        login = f"{person}@test"
        headers = {"Authorization": f"Bearer {self.operator}"}
        body = {"login": login, "password": "a long password", "person": str(rosters.uid(person))}
        async with self.http.post(f"{self.url}/v1/accounts", json=body, headers=headers) as response:
            assert response.status in (201, 409)
        async with self.http.post(
            f"{self.url}/v1/tokens", json={"account": login, "name": "test"}, headers=headers
        ) as response:
            assert response.status == 201
            return str((await response.json())["token"])

    async def ready(self) -> None:
        """Beat until it says that it is."""
        while self.process.health.not_ready():
            assert not self.process.stopping.is_set()
            await self.beat()
            await asyncio.sleep(0.05)


def item_of(pupil: str, title: str) -> ItemPut:
    """An item on a pupil for guardians; the same title is the same item."""
    now = datetime.now(UTC)
    text = Text(fr=title, en=title)
    return ItemPut(
        id=rosters.uid(title), scope=pupil_scope(rosters.uid(pupil)), audience=Audience.GUARDIANS, uai=rosters.UAI,
        school_year=2027, category=Category.GRADES, title=text, summary=text, published_at=now, updated_at=now,
    )  # fmt: skip


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture(scope="session")
def private_key() -> str:
    """The key of internal tokens."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
async def start(
    database_url: str, kafka: Kafka, topic: str, services: Services, private_key: str
) -> AsyncIterator[Start]:
    """Starts gateways of one deployment, with the settings a test wants; they stop with the test.

    Each is ready since the directory beats, unless it is not to be `heard`.
    """
    async with contextlib.AsyncExitStack() as stack:
        topics = Topics(f"{topic}-directory", f"{topic}-feed", f"{topic}-generations")
        await create_topics(kafka.bootstrap, topics.directory, topics.feed, topics.generations)
        database = await open_database(database_url, ROSTER, GATEWAY)
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        stack.push_async_callback(producer.stop)
        async with database.transaction() as connection:
            operator = await usecases.bootstrap_operator(connection)

        async def begin(*, heard: bool = True, **options: Any) -> Gateway:
            port, admin = free_port(), free_port()
            names = ("directory", "grades", "feed", "notify", "portal")
            given = {
                "database_url": database_url, "kafka": kafka.bootstrap, "token_private_key": private_key,
                "cursor_secret": SECRET, "services": dict.fromkeys(names, services.url), "port": port,
                "admin_port": admin, "drain_seconds": 1,
            }  # fmt: skip
            settings = GatewaySettings.model_validate(given | options)
            process = Process("gateway", settings)

            async def compose(process: Process) -> None:
                await app.serve(process, settings, database, topics)

            running = asyncio.create_task(process.run(compose))

            async def stop() -> None:
                process.stopping.set()
                await running

            stack.push_async_callback(stop)
            found = Gateway(
                f"http://127.0.0.1:{port}", database, http, producer, topics, process, operator,
                f"http://127.0.0.1:{admin}",
            )  # fmt: skip
            if heard:
                await found.ready()
            return found

        yield begin


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """A gateway that is ready, in front of a small school."""
    found = await start()
    for document in rosters.small_school():
        await found.change(document)
    return found


async def create_topics(bootstrap: str, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    await admin.close()


def claims(headers: dict[str, str]) -> dict[str, Any]:
    """What the internal token of an echoed request says."""
    token = headers["Authorization"].removeprefix("Bearer ")
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def person(name: str) -> UUID:
    """The id of somebody in the small school."""
    return rosters.uid(name)
