"""The service whole: from the topic to the mail server, its API, and killed between the server's answer and its own commit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.consumer import Received
from chassis.database import Database
from chassis.identity import TokenSigner
from chassis.process import Process
from contracts import directory
from contracts.directory import GuardianLink, LinkKind, RoleName
from contracts.envelope import Event, new_id, to_headers
from infra.local.home import CHECKOUT
from infra.local.kafka import Kafka
from infra.local.ports import free_port
from infra.topics import ensure_topics
from services.directory.beat import beat
from services.notify.app import compose
from services.notify.settings import NotifySettings
from tests.notify.facts import came, corrected, learn, published, tell, withdrawn
from tests.notify.mailserver import MailServer
from tests.rosters import adult, group, key_of, pupil, received, school, uid

KEY = Ed25519PrivateKey.generate()
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
CHOSEN = {
    "language": "en",
    "email": {"enabled": True},
    "categories": {"grades": True, "absences": False, "homework": True, "news": True},
}


def environment(database_url: str, kafka: str, post: MailServer, **more: str) -> dict[str, str]:
    """What a notify process is told, as in production."""
    return {
        "PREAU_DATABASE_URL": database_url, "PREAU_KAFKA": kafka, "PREAU_TOKEN_PUBLIC_KEY": PUBLIC.decode(),
        "PREAU_PORT": str(free_port()), "PREAU_ADMIN_PORT": str(free_port()), "PREAU_SMTP_HOST": "127.0.0.1",
        "PREAU_SMTP_PORT": str(post.port), "PREAU_SMTP_TLS": "none", "PREAU_SMTP_SECONDS": "0.5",
        "PREAU_SENDER_ADDRESS": "ne-pas-repondre@preau.exemple.fr", "PREAU_PUBLIC_URL": "https://preau.exemple.fr",
        "PREAU_LEASE_SECONDS": "1.5", "PREAU_DRAIN_SECONDS": "1", **more,
    }  # fmt: skip


class Client:
    """A person's calls to the service, and its health."""

    def __init__(self, settings: NotifySettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session

    async def call(self, method: str, path: str, name: str, body: Any = None) -> tuple[int, Any]:
        token = TokenSigner(PRIVATE).sign(f"people/{uid(name)}", "notify")
        url = f"http://127.0.0.1:{self._settings.port}/v1/me/{path}"
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def is_ready(self) -> bool:
        async with self._session.get(f"http://127.0.0.1:{self._settings.admin_port}/health/ready") as answer:
            return answer.status == 200


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in servers
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> AsyncIterator[Client]:
    """The service, composed in this process on the settings given, while the directory beats."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = NotifySettings()
    process = Process("notify", settings)
    beating = asyncio.create_task(beat(given["PREAU_KAFKA"], 0.2))
    task = asyncio.create_task(process.run(lambda one: compose(one, settings)))
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while not process.health.started:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.01)
            yield Client(settings, session)
    finally:
        process.stopping.set()
        await task
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def put(producer: AIOKafkaProducer, topic: str, events: Sequence[Received]) -> None:
    for event in events:
        headers = to_headers(event.envelope)
        await producer.send_and_wait(topic, event.value, event.envelope.key.encode(), headers=headers)


def documents(child: str, parent: str) -> list[Event]:
    """A school with one child and their parent, of names no other test uses."""
    adults = [adult(parent, RoleName.GUARDIAN).model_copy(update={"email": f"{parent}@exemple.fr"})]
    links = [GuardianLink(person=uid(parent), kind=LinkKind.LEGAL_GUARDIAN)]
    return [school(), group(), *adults, pupil(child, links)]


async def test_from_the_topic_to_the_mail_server_and_back_to_the_api(
    database_url: str, kafka: Kafka, post: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(kafka.bootstrap)
    child, parent = f"child-{new_id()}", f"parent-{new_id()}"
    address, grade = f"{parent}@exemple.fr", uid(child + " grade")
    people = [received(key_of(one), one) for one in documents(child, parent)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        async with running(monkeypatch, environment(database_url, kafka.bootstrap, post)) as client:
            # The fact first: it waits for the place in the directory on which its writer decided.
            position = people[-1].envelope.sequence
            await put(producer, "grades", [came(published("12", child, grade), directory_position=position)])
            await put(producer, directory.TOPIC, people)
            await post.until(lambda: len(post.to(address)) == 1, 20)
            assert (await client.call("PUT", "notifications", parent, CHOSEN))[0] == 200
            await put(producer, "grades", [came(corrected("12", "15", child, grade))])
            await post.until(lambda: len(post.to(address)) == 2)
            await put(producer, "grades", [came(withdrawn(child, grade))])
            await post.until(lambda: len(post.to(address)) == 3)
            subjects = [one["Subject"] for one in post.to(address)]
            assert subjects[0].endswith("Mathématiques : 12/20")
            assert subjects[1].endswith("grade corrected, 15/20")
            assert subjects[2].endswith("grade withdrawn")
            assert post.to(address)[2]["In-Reply-To"] == post.to(address)[1]["Message-ID"]
            await api(client, parent, address)
            await until(client.is_ready)
    finally:
        await producer.stop()


async def api(client: Client, parent: str, address: str) -> None:
    """What the person may read and choose."""
    masked = {"enabled": True, "address": f"{address[0]}…@exemple.fr"}
    assert await client.call("GET", "notifications", parent) == (200, CHOSEN | {"email": masked})
    stranger = await client.call("GET", "notifications", "stranger")
    assert stranger[1]["email"] == {"enabled": True, "address": None}
    assert stranger[1]["language"] == "fr"
    status, problem = await client.call("PUT", "notifications", parent, CHOSEN | {"language": "de"})
    assert (status, problem["errors"][0]["field"]) == (422, "language")

    async def settled() -> bool:
        return bool((await client.call("GET", "messages", parent))[1]["messages"][0]["state"] == "sent")

    await until(settled)
    _, page = await client.call("GET", "messages?limit=2", parent)
    assert [one["says"] for one in page["messages"]] == ["withdrawn", "corrected"]
    rest = (await client.call("GET", f"messages?before={page['next']}", parent))[1]
    assert [(one["says"], one["state"], one["attempts"]) for one in rest["messages"]] == [("new", "sent", 1)]
    assert rest["messages"][0]["sent_at"]
    assert rest["next"] is None
    assert (await client.call("GET", "messages", "stranger"))[1]["messages"] == []


async def test_killed_between_the_servers_answer_and_its_commit_it_sends_again_under_the_same_id(
    notify: Database, post: MailServer, tmp_path: Path
) -> None:
    given = environment(notify.settings.url(), "127.0.0.1:1", post)
    process = start(given, tmp_path)

    def kill(_: EmailMessage) -> None:
        # The message is accepted; the answer finds nobody.
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        post.on_accepted = lambda _: None

    post.on_accepted = kill
    async with notify.transaction() as connection:
        await learn(connection, [pupil("zoé", [GuardianLink(person=uid("mother"), kind=LinkKind.LEGAL_GUARDIAN)])])
    await tell(notify, published())
    await post.until(lambda: len(post.accepted) == 1, 30)
    second = start(given, tmp_path)
    try:
        await post.until(lambda: len(post.accepted) == 2, 30)
        assert len({one["Message-ID"] for one in post.accepted}) == 1

        async def sent_twice() -> bool:
            async with notify.connection() as connection:
                row = await connection.fetchrow("SELECT state, attempts FROM messages")
            return row is not None and tuple(row) == ("sent", 2)

        await until(sent_twice)
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{given['PREAU_ADMIN_PORT']}/metrics"
            async with session.get(url) as answer:
                metrics = await answer.text()
        for name in ("sends_total", "queue_depth", "queue_age_seconds", "fact_to_sent_seconds_bucket"):
            assert f"\npreau_notify_{name}" in metrics
        (line,) = [x for x in metrics.splitlines() if x.startswith("preau_notify_possible_repeats_total")]
        assert float(line.rpartition(" ")[2]) == 1
    finally:
        second.terminate()
        assert second.wait(10) == 0


def start(given: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """A notify process of its own."""
    with (folder / "notify.log").open("ab") as log:
        command = [sys.executable, "-m", "cli", "run", "notify"]
        return subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **given}, stdout=log, stderr=log)
