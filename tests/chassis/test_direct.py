"""A direct route answers what FastAPI would answer, whatever is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI, Request, Response
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from chassis.direct import Direct
from chassis.http import CleanText, create_app
from chassis.identity import TokenSigner, TokenVerifier
from chassis.problems import not_found
from chassis.routes import By, Limit
from chassis.settings import HttpSettings

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
ID = uuid4()


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: CleanText
    points: Annotated[list[int], Field(max_length=2)] = []


router = APIRouter(prefix="/v1")


@router.post("/things/{id}/names", operation_id="nameThing")
async def name_thing(request: Request, id: UUID, body: Body, by: By) -> Response:
    if body.name == "nobody":
        raise not_found()
    if body.name == "broken":
        raise ValueError("a secret")
    said = {"id": str(id), "name": body.name, "points": body.points, "by": by.subject, "path": request.url.path}
    return Response(json.dumps(said), 201, {"ETag": '"1"'}, "application/json")


@router.get("/things")
async def list_things(limit: Limit = 50) -> Response:
    return Response(str(limit))


def app(*, direct: bool) -> FastAPI:
    first = [Direct(router, name_thing)] if direct else []
    made = create_app("test", HttpSettings(body_bytes=1024), TokenVerifier(PUBLIC, "test"), first=first)
    made.include_router(router)
    return made


APPS = [app(direct=False), app(direct=True)]


def headers_now() -> dict[str, str]:
    """Headers with a token, which holds for a minute."""
    return {
        "content-type": "application/json",
        "authorization": f"Bearer {TokenSigner(PRIVATE).sign(f'people/{uuid4()}', 'test')}",
    }


async def answered(app: FastAPI, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"x-request-id", b"the-request"))
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode()}
    more: dict[str, Any] = {"query_string": b"", "headers": raw, "scheme": "http", "server": ("h", 1), "state": {}}
    await app({**scope, **more}, receive, send)
    return sent[0]["status"], sorted(sent[0]["headers"]), b"".join(one.get("body", b"") for one in sent[1:])


def both(method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    by_fastapi, direct = (asyncio.run(answered(one, method, path, body, headers)) for one in APPS)
    assert direct == by_fastapi
    return direct


NAMES = st.sampled_from(["a", " é ", "nobody", "broken", "a\x00b"])
WELL_MADE = st.fixed_dictionaries({"name": NAMES}, optional={"points": st.lists(st.integers(), max_size=3)})
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | WELL_MADE)
BODIES = (
    WELL_MADE.map(lambda one: json.dumps(one).encode())
    | JSON.map(lambda one: json.dumps(one).encode())
    | st.binary(max_size=1100)
)
KINDS = st.sampled_from(["application/json", "application/problem+json; charset=utf-8", "text/plain", "", "é", ";"])


@given(st.sampled_from(["POST", "GET", "PUT"]), st.sampled_from([str(ID), "x", f"{ID}/y"]), BODIES, KINDS)
@example("POST", str(ID), b'{"name": "a"}', "application/json")
@example("POST", str(ID), b"[" * 1024, "application/json")
@example("POST", str(ID), b" " * 1025, "application/json")
def test_whatever_is_sent_the_answer_is_fastapis(method: str, id: str, body: bytes, kind: str) -> None:
    both(method, f"/v1/things/{id}/names", body, {**headers_now(), "content-type": kind})


@pytest.mark.parametrize("left_out", ["authorization", "content-type"])
@pytest.mark.parametrize("body", [b'{"name": "a"}', b'{"name": 1}', b"{", b""])
def test_who_is_not_known_and_what_is_no_json_are_refused_alike(left_out: str, body: bytes) -> None:
    headers = {name: value for name, value in headers_now().items() if name != left_out}
    status, _, _ = both("POST", f"/v1/things/{ID}/names", body, headers)
    assert status in (401, 422)


def test_a_request_is_answered_by_its_endpoint() -> None:
    status, headers, body = both("POST", f"/v1/things/{ID}/names", b'{"name": "a"}', headers_now())
    assert status == 201
    assert (b"etag", b'"1"') in headers
    assert json.loads(body)["id"] == str(ID)


def test_an_endpoint_that_takes_more_is_not_taken() -> None:
    with pytest.raises(ValueError, match="more than a path and a body"):
        Direct(router, list_things)
