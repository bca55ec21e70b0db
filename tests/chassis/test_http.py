"""The HTTP house rules over a real socket: problems, limits, deadlines, idempotency, identity."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import aiohttp
import asyncpg
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from chassis import problems
from chassis.audit import Refused, audit_refusals
from chassis.database import Connection, Database, RolledBack, literal
from chassis.http import CleanText, create_app
from chassis.idempotency import Answer, Writes
from chassis.identity import Caller, TokenSigner, TokenVerifier, caller
from chassis.outbox import OutboxGauge
from chassis.process import listen
from chassis.settings import DatabaseSettings, HttpSettings

PRIVATE = Ed25519PrivateKey.generate()
PUBLIC_PEM = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
PRIVATE_PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
SETTINGS = HttpSettings(body_bytes=2048, request_seconds=1.0)
PERSON = uuid4()
By = Annotated[Caller, Depends(caller)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: CleanText


def make_app(database: Database) -> FastAPI:
    app = create_app("test", SETTINGS, TokenVerifier(PUBLIC_PEM, "test"))
    writes = Writes(database)
    audit_refusals(app, database)

    @app.post("/things")
    async def create(request: Request, body: Body, by: By) -> Response:
        async def work(connection: Connection) -> Answer:
            number = await connection.fetchval("INSERT INTO made (name) VALUES ($1) RETURNING id", body.name)
            await asyncio.sleep(0.05)
            return Answer(201, {"id": number})

        return await writes.run(request, by, work)

    _add_names(app, writes)

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("with a secret in it")

    @app.get("/empty")
    async def empty() -> None:
        async with database.connection() as connection:
            await connection.execute("SELECT FROM never_made")

    @app.get("/refused")
    async def refused(by: By) -> None:
        raise Refused(by, "thing.read", "things/1", "0921234S")

    return app


def _add_names(app: FastAPI, writes: Writes) -> None:
    @app.post("/names")
    async def name(request: Request, body: Body, by: By) -> Response:
        async def work(connection: Connection) -> Answer:
            if await connection.fetchval("SELECT true FROM made WHERE name = $1", body.name):
                raise problems.Problem(409, "taken", "Taken")
            await connection.execute("INSERT INTO made (name) VALUES ($1)", body.name)
            return Answer(201, {"name": body.name}, {"X-Name": "quoted ' \\"})

        return await writes.run(request, by, work, locks="SELECT pg_advisory_xact_lock(1)")


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[aiohttp.ClientSession]:
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http="httptools", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.01)
    headers = {"Authorization": f"Bearer {TokenSigner(PRIVATE_PEM).sign(f'people/{PERSON}', 'test')}"}
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with aiohttp.ClientSession(base, headers=headers) as client:
        yield client
    server.should_exit = True
    await task
    sock.close()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[aiohttp.ClientSession]:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
    async with served(make_app(database)) as session:
        yield session


async def problem(answer: aiohttp.ClientResponse, status: int) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = await answer.json(content_type=None)
    assert document["status"] == status
    assert document["request"] == answer.headers["x-request-id"]
    return document


async def made(database: Database) -> int:
    async with database.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM made")
    return count


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({}, "name", "missing"),
        ({"name": 1}, "name", "string_type"),
        ({"name": "a", "more": 1}, "more", "extra_forbidden"),
        ({"name": "a\x00b"}, "name", "value_error"),
    ],
)
async def test_bad_input_names_field_and_rule(
    client: aiohttp.ClientSession, database: Database, body: Any, field: str, rule: str
) -> None:
    document = await problem(await client.post("/things", json=body), 422)
    assert [(e["field"], e["rule"]) for e in document["errors"]] == [(field, rule)]
    assert await made(database) == 0


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[" * 5000])
async def test_what_is_no_json_is_a_problem(client: aiohttp.ClientSession, body: bytes) -> None:
    if len(body) > SETTINGS.body_bytes:
        body = body[: SETTINGS.body_bytes]
    answer = await client.post("/things", data=body, headers={"Content-Type": "application/json"})
    assert answer.status in (400, 422)
    await problem(answer, answer.status)


async def endless() -> AsyncIterator[bytes]:
    for _ in range(10):
        yield b" " * 1000


async def hesitant() -> AsyncIterator[bytes]:
    yield b'{"name":'
    await asyncio.sleep(3)


async def test_a_body_too_large_is_refused_announced_or_not(client: aiohttp.ClientSession) -> None:
    await problem(await client.post("/things", data=b" " * 3000), 413)
    headers = {"Content-Type": "application/json"}
    await problem(await client.post("/things", data=endless(), headers=headers), 413)


async def test_a_body_that_does_not_come_is_a_408_and_an_answer_that_does_not_a_503(
    client: aiohttp.ClientSession,
) -> None:
    headers = {"Content-Type": "application/json"}
    document = await problem(await client.post("/things", data=hesitant(), headers=headers), 408)
    assert document["code"] == "body-too-slow"
    answer = await client.get("/slow")
    await problem(answer, 503)
    assert answer.headers["retry-after"]


async def test_a_defect_of_ours_tells_nothing_of_itself(client: aiohttp.ClientSession) -> None:
    assert "secret" not in json.dumps(await problem(await client.get("/broken"), 500))
    await problem(await client.get("/nowhere"), 404)
    await problem(await client.get("/things"), 405)


async def test_the_same_key_gets_the_same_answer_however_often_at_once(
    client: aiohttp.ClientSession, database: Database
) -> None:
    headers = {"Idempotency-Key": "one"}
    answers = await asyncio.gather(*(client.post("/things", json={"name": "a"}, headers=headers) for _ in range(6)))
    assert {(a.status, await a.text()) for a in answers} == {(201, '{"id": 1}')}
    assert await made(database) == 1
    assert sum("Idempotency-Replayed" in a.headers for a in answers) == 5


async def test_a_key_used_again_for_something_else_is_refused(
    client: aiohttp.ClientSession, database: Database
) -> None:
    headers = {"Idempotency-Key": "two"}
    assert (await client.post("/things", json={"name": "a"}, headers=headers)).status == 201
    document = await problem(await client.post("/things", json={"name": "b"}, headers=headers), 422)
    assert document["code"] == "idempotency-key-reused"
    await problem(await client.post("/things", json={"name": "b"}, headers={"Idempotency-Key": "x" * 300}), 400)
    assert await made(database) == 1


async def test_a_repeat_gets_its_answer_though_the_work_would_fail_by_now(
    client: aiohttp.ClientSession, database: Database
) -> None:
    body, key = {"name": "it's \\ é"}, {"Idempotency-Key": "'; DROP TABLE made; --\\"}
    answers = await asyncio.gather(*(client.post("/names", json=body, headers=key) for _ in range(4)))
    assert {(a.status, a.headers["X-Name"]) for a in answers} == {(201, "quoted ' \\")}
    assert {(await a.json())["name"] for a in answers} == {"it's \\ é"}
    assert await made(database) == 1
    document = await problem(await client.post("/names", json=body, headers={"Idempotency-Key": "new"}), 409)
    assert document["code"] == "taken"
    document = await problem(await client.post("/names", json={"name": "b"}, headers=key), 422)
    assert document["code"] == "idempotency-key-reused"
    assert await made(database) == 1


async def test_a_failed_statement_that_was_passed_over_is_no_success(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE gone ()")
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.execute("SELECT 1 / 0")

    with pytest.raises(RolledBack):
        await work()
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('gone')") is None


@given(st.text(st.characters(codec="utf-8")) | st.binary())
def test_nothing_ends_a_literal(value: str | bytes) -> None:
    whole = literal(value)
    assert whole.count("'") == (2 if isinstance(value, bytes) else 4)
    digits = whole.partition("\\x")[2].partition("'")[0]
    assert bytes.fromhex(digits) == (value if isinstance(value, bytes) else value.encode())


async def test_a_refusal_tells_nothing_and_is_written_down(client: aiohttp.ClientSession, database: Database) -> None:
    await problem(await client.get("/refused"), 404)
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT caller, action, object, outcome FROM audit_entries")
        assert row is not None
        assert tuple(row) == (f"people/{PERSON}", "thing.read", "things/1", "refused")
        with pytest.raises(Exception, match="never changed"):
            await connection.execute("UPDATE audit_entries SET outcome = 'done'")


def forged(**changes: Any) -> str:
    claims = {"iss": "preau-gateway", "sub": f"people/{PERSON}", "aud": "test", "iat": 0, "exp": 4102444800}
    return jwt.encode(claims | changes, PRIVATE, "EdDSA")


BAD_TOKENS = {
    "another audience": forged(aud="other"),
    "expired": forged(exp=1),
    "another issuer": forged(iss="someone"),
    "nobody": forged(sub="nobody/1"),
    "no subject": jwt.encode({"aud": "test"}, PRIVATE, "EdDSA"),
    "unsigned": jwt.encode({"sub": f"people/{PERSON}", "aud": "test"}, "", "none"),
    "the public key as a secret": jwt.api_jws.PyJWS().encode(b"{}", "x" * 40, "HS256"),
    "another key": jwt.encode({"sub": f"people/{PERSON}", "aud": "test"}, Ed25519PrivateKey.generate(), "EdDSA"),
    "not a token": "a.b.c",
}


async def test_a_database_that_was_put_back_empty_is_a_503(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/empty")
    await problem(answer, 503)
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_a_token_that_is_not_the_gateways_is_refused(client: aiohttp.ClientSession, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    await problem(await client.post("/things", json={"name": "a"}, headers=headers), 401)


async def test_a_full_outbox_refuses_writes(database: Database) -> None:
    url = database.settings.url()
    tight = Database(DatabaseSettings.model_validate({"database_url": url, "outbox_rows": 1000}))
    await tight.open()
    gauge = OutboxGauge(tight)
    async with tight.connection() as connection:
        await connection.execute(
            "INSERT INTO outbox (topic, key, headers) SELECT 't', 'k', '[]' FROM generate_series(1, 1002)"
        )
    await gauge.measure()
    app = FastAPI()
    writes = Writes(tight, gauge)
    problems.install(app)

    @app.post("/things")
    async def create(request: Request) -> Response:
        async def work(_: Connection) -> Answer:
            return Answer(201)

        return await writes.run(request, Caller(person=PERSON), work)

    async with served(app) as session:
        answer = await session.post("/things")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "10"
    await tight.close()
