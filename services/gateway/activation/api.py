"""Activation codes over HTTP: made by operators and a school's office, used by who has one on paper."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from chassis.problems import FieldError, Problem
from services.gateway import attempts, browsers
from services.gateway.activation import usecases
from services.gateway.domain import Account
from services.gateway.front import Front, FrontDep, SignedIn, address_of, begin_session, check_own_pages, count
from services.gateway.openid.identity import Identity
from services.gateway.schemas import (
    Activation,
    ActivationCodeAnswer,
    ActivationCodesAnswer,
    NewActivationCodes,
    SessionAnswer,
    account_answer,
)

router = APIRouter(prefix="/v1")


@router.post("/activation-codes", status_code=201)
async def make_codes(body: NewActivationCodes, principal: SignedIn, front: FrontDep) -> ActivationCodesAnswer:
    """Make people activation codes; each ends the person's former one. All or nothing.

    Operators may for anybody; a school's head and student affairs for its families without an account. It takes no
    `Idempotency-Key`: that would keep the codes in clear for a day.
    """
    people = list(dict.fromkeys(body.people))
    async with front.database.transaction() as connection:
        made, ends = await usecases.make_codes(
            connection, principal.account, people, front.seals, front.activation_seconds
        )
    items = [ActivationCodeAnswer(person=one.person, code=one.code, expires_at=ends) for one in made]
    return ActivationCodesAnswer(items=items)


@router.post("/activations", status_code=201)
async def activate(body: Activation, request: Request, response: Response, front: FrontDep) -> SessionAnswer:
    """Use an activation code and sign in: with a login and a password, else with who a provider just said one is."""
    check_own_pages(request)
    who = attempts.of_activation(address_of(request))
    await count(front, who)
    identity = None if body.own else browsers.identity_of(request, front.seals)
    if body.own is None and identity is None:
        rule = FieldError("own", "identity", "Give a login and a password, or sign in with a provider first")
        raise Problem(422, "no-identity", "Nobody is named whom the code could be for", errors=[rule])
    account = await _activated(front, body, identity)
    issued = await begin_session(front, request, response, account, counted=who, identity=identity)
    browsers.take_identity(response)
    return SessionAnswer(account=account_answer(account), expires_at=issued.expires_at)


async def _activated(front: Front, body: Activation, identity: Identity | None) -> Account:
    own = None
    if body.own is not None:
        own = usecases.OwnLogin(body.own.login, await front.passwords.hash(body.own.password))
    async with front.database.transaction() as connection:
        person = await usecases.person_of(connection, body.code, front.seals)
        if own is not None:
            return await usecases.with_login(connection, person, own)
        assert identity is not None
        return await usecases.with_identity(connection, person, identity)
