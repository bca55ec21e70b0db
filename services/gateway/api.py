"""What the gateway answers itself: sign-in, accounts, tokens, schemas, and the description of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from chassis.database import Connection
from chassis.idempotency import Answer, Writes
from chassis.identity import Caller
from chassis.problems import Problem, not_found
from contracts import asyncapi, catalogue
from services.gateway import attempts, browsers, store, usecases
from services.gateway.domain import Kind, Principal, fold
from services.gateway.front import FrontDep, Operator, SignedIn, address_of, begin_session, check_own_pages, count
from services.gateway.openid import store as identities
from services.gateway.openid.api import end_session_place
from services.gateway.schemas import (
    AccountAnswer,
    IssuedToken,
    Login,
    NewAccount,
    NewPassword,
    NewToken,
    SessionAnswer,
    SignIn,
    SignOutAnswer,
    TokenAnswer,
    TokensAnswer,
    account_answer,
)

_CACHED = "public, max-age=3600"
_MOST_LISTED = 1000
router = APIRouter(prefix="/v1")


# Sessions


@router.post("/sessions", status_code=201)
async def sign_in(body: SignIn, request: Request, response: Response, front: FrontDep) -> SessionAnswer:
    """Sign in; the session is in the cookie."""
    check_own_pages(request)
    async with front.database.connection() as connection:
        found = await store.account(connection, fold(body.login))
    device = browsers.device_of(request, front.seals, found[0].id if found else None)
    who = attempts.of_sign_in(body.login, address_of(request), device)
    await count(front, who)
    # No connection is held meanwhile, and an unknown account takes as long as a wrong password.
    if not await front.passwords.check(found[1] if found else None, body.password) or found is None:
        raise Problem(401, "wrong-credentials", "Login or password is wrong")
    issued = await begin_session(front, request, response, found[0], counted=who)
    return SessionAnswer(account=account_answer(found[0]), expires_at=issued.expires_at)


@router.delete("/sessions/current", status_code=204, responses={200: {"model": SignOutAnswer}})
async def sign_out(principal: SignedIn, front: FrontDep) -> Response:
    """Sign out; the session's streams end. 200 where a provider vouched for it and wants to be told."""
    if principal.kind is not Kind.SESSION:
        raise not_found()
    async with front.database.transaction() as connection:
        vouched = await identities.vouched(connection, principal.credential)
        await store.remove_credential(connection, principal.credential)
    front.authenticator.forget(principal.credential)
    place = await end_session_place(front, *vouched) if vouched else None
    answer = JSONResponse({"end_session": place}) if place else Response(status_code=204)
    browsers.take_session(answer)
    return answer


# Accounts


@router.post("/accounts", status_code=201, response_model=AccountAnswer)
async def add_account(body: NewAccount, request: Request, principal: Operator, front: FrontDep) -> Response:
    """Make an account; takes an `Idempotency-Key`."""
    hashed = await front.passwords.hash(body.password)

    async def work(connection: Connection) -> Answer:
        return Answer(201, account_answer(await usecases.add_account(connection, body.login, hashed, body.person)))

    return await Writes(front.database).run(request, _caller(principal), work)


def _caller(principal: Principal) -> Caller:
    account = principal.account
    return Caller(account.person, account.login if account.operator else None)


@router.put("/accounts/{login}/password", status_code=204)
async def change_password(login: Login, body: NewPassword, _: Operator, front: FrontDep) -> None:
    """Replace a password; the account's sessions end."""
    hashed = await front.passwords.hash(body.password)
    async with front.database.transaction() as connection:
        await usecases.change_password(connection, login, hashed)


@router.delete("/accounts/{login}", status_code=204)
async def remove_account(login: Login, _: Operator, front: FrontDep) -> None:
    """Remove an account; its sessions and tokens end."""
    async with front.database.transaction() as connection:
        await usecases.remove_account(connection, login)


# Tokens


@router.post("/tokens", status_code=201)
async def issue_token(body: NewToken, principal: SignedIn, front: FrontDep) -> IssuedToken:
    """Make a token. It takes no `Idempotency-Key`: that would keep the secret in clear for a day."""
    async with front.database.transaction() as connection:
        issued = await usecases.issue_token(connection, principal.account, body.account, body.name, body.expires_in)
    return IssuedToken(id=issued.id, token=issued.secret, expires_at=issued.expires_at)


@router.get("/tokens")
async def tokens(principal: SignedIn, front: FrontDep) -> TokensAnswer:
    """One's own tokens; for an operator, everyone's."""
    owner = None if principal.account.operator else principal.account.id
    async with front.database.connection() as connection:
        found = await store.tokens(connection, owner, _MOST_LISTED)
    return TokensAnswer(items=[_token(one) for one in found])


def _token(one: store.StoredToken) -> TokenAnswer:
    ends: datetime = one.expires_at
    return TokenAnswer(id=one.id, account=one.login, name=one.name, created_at=one.created_at, expires_at=ends)


@router.delete("/tokens/{id}", status_code=204)
async def revoke_token(id: UUID, principal: SignedIn, front: FrontDep) -> None:
    """Revoke a token; its streams end."""
    async with front.database.transaction() as connection:
        await usecases.revoke_token(connection, principal.account, id)
    front.authenticator.forget(id)


# Descriptions


@router.get("/schemas/{type}", response_model=dict[str, Any])
async def schema(type: str, response: Response) -> dict[str, Any]:
    """The JSON Schema of an event's data, as `ce_dataschema` names it."""
    if type not in catalogue.EVENTS:
        raise not_found()
    response.headers["Cache-Control"] = _CACHED
    return catalogue.schema(type)


@router.get("/openapi.json", response_model=dict[str, Any])
async def description(front: FrontDep) -> dict[str, Any]:
    """The OpenAPI document of the whole API."""
    return await front.openapi.document()


@router.get("/asyncapi.json", include_in_schema=False)
async def events() -> Response:
    """The AsyncAPI document of all that is published on Kafka."""
    return Response(asyncapi.published(), headers={"Cache-Control": _CACHED}, media_type="application/json")


_STREAM = (
    "Server-sent events: `item`, `removed`, `scope-added`, `scope-removed`, `reset`, and heartbeats with an `id:`."
)


@router.get("/stream", responses={200: {"content": {"text/event-stream": {}}, "description": _STREAM}})
async def stream(cursor: str | None = None) -> Response:  # noqa: ARG001 - described for clients, read elsewhere
    """The live stream. Resumes after `Last-Event-ID`, or `cursor`.

    The connection itself answers this path; what comes here came by HTTP/1.0, or behind an unfinished request.
    """
    raise Problem(400, "no-stream-here", "The stream needs an HTTP/1.1 connection of its own")
