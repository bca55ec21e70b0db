"""Sign-in with providers: the way there and back for browsers, and the door at which a provider ends sessions."""

from __future__ import annotations

import logging
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from chassis import telemetry
from chassis.database import UNREACHABLE
from chassis.problems import Problem, not_found
from services.gateway import browsers
from services.gateway.domain import digest
from services.gateway.front import Front, FrontDep, begin_session
from services.gateway.openid import store, tokens
from services.gateway.openid.flow import Flow, finish
from services.gateway.openid.identity import Identity, SignInFailed
from services.gateway.openid.provider import Provider
from services.gateway.schemas import LabelAnswer, ProviderAnswer, ProvidersAnswer

SIGN_IN_PAGE = "/connexion"
ACTIVATION_PAGE = "/activation"
_LONGEST_PLACE = 1000
_LONGEST_TOKEN = 16 * 1024
_LOGOUT_SECONDS = 3600.0
_log = logging.getLogger(__name__)
_outcomes = telemetry.meter.create_counter("preau_provider_sign_ins", description="Sign-ins with providers, by outcome")
router = APIRouter(prefix="/v1")


@router.get("/sign-in")
async def providers(request: Request, front: FrontDep) -> ProvidersAnswer:
    """The providers people may sign in with, and the one that has just named a visitor nobody here knows yet."""
    items = [_answer(one) for one in front.providers.values()]
    pending = browsers.identity_of(request, front.seals)
    return ProvidersAnswer(items=items, pending=pending.provider if pending else None)


def _answer(provider: Provider) -> ProviderAnswer:
    label = provider.settings.label
    return ProviderAnswer(name=provider.settings.name, label=LabelAnswer(fr=label.fr, en=label.en))


@router.get("/sign-in/{provider}", include_in_schema=False)
async def begin(provider: str, front: FrontDep, suite: str = "/") -> Response:
    """Send the browser to a provider; whatever goes wrong is said on the sign-in page."""
    chosen = _provider(front, provider)
    flow = Flow.new(provider, _safe(suite))
    try:
        place = await chosen.authorization(flow.state, flow.nonce, flow.challenge)
    except SignInFailed as failed:
        return _failed(failed, provider)
    answer = RedirectResponse(place, 303)
    browsers.begin(answer, front.seals, flow)
    return answer


@router.get("/sign-in/{provider}/callback", include_in_schema=False)
async def come_back(provider: str, request: Request, front: FrontDep) -> Response:
    """Take the browser's word from a provider: to the portal, to the activation page, or back with a reason."""
    chosen = _provider(front, provider)
    given = dict(request.query_params)
    try:
        flow = Flow.opened(front.seals, browsers.begun(request), provider, given.get("state", ""))
        identity = await finish(flow, chosen, given, front.database)
        answer = await _enter(front, request, identity, flow.place)
    except SignInFailed as failed:
        answer = _failed(failed, provider)
    except UNREACHABLE as error:
        answer = _failed(SignInFailed("unavailable", type(error).__name__), provider)
    browsers.ended(answer)
    return answer


async def _enter(front: Front, request: Request, identity: Identity, place: str) -> Response:
    async with front.database.connection() as connection:
        account = await store.account_of(connection, identity.issuer, identity.subject)
    if account is None:
        _count(identity.provider, "unknown")
        answer = RedirectResponse(ACTIVATION_PAGE, 303)
        browsers.give_identity(answer, front.seals, identity)
        return answer
    _count(identity.provider, "signed-in")
    answer = RedirectResponse(place, 303)
    await begin_session(front, request, answer, account, identity=identity)
    browsers.take_identity(answer)
    return answer


def _failed(failed: SignInFailed, provider: str) -> Response:
    _log.warning("a sign-in failed", extra={"provider": provider, "reason": failed.reason, "detail": failed.detail})
    _count(provider, failed.reason)
    return RedirectResponse(f"{SIGN_IN_PAGE}?{urlencode({'erreur': failed.reason})}", 303)


def _count(provider: str, outcome: str) -> None:
    _outcomes.add(1, {"provider": provider, "outcome": outcome})


def _provider(front: Front, name: str) -> Provider:
    found = front.providers.get(name)
    if found is None:
        raise not_found()
    return found


def _safe(place: str) -> str:
    home = place.partition("?")[0] == "/"
    return place if home and place.isascii() and place.isprintable() and len(place) <= _LONGEST_PLACE else "/"


@router.post("/sign-in/{provider}/logout", include_in_schema=False)
async def provider_logout(
    provider: str, front: FrontDep, logout_token: Annotated[str, Form(max_length=_LONGEST_TOKEN)]
) -> Response:
    """Back-channel logout: end the sessions that rest on the provider's session, or on all of its subject's."""
    chosen = _provider(front, provider)
    try:
        claims = await chosen.logout(logout_token)
        subject, session, id = (tokens.name(claims, claim) for claim in ("sub", "sid", "jti"))
    except SignInFailed as failed:
        _log.warning("a logout was refused", extra={"provider": provider, "detail": failed.detail})
        raise Problem(400, "bad-logout-token", "This logout token does not hold") from failed
    async with front.database.transaction() as connection:
        if not await store.use_once(connection, digest(f"logout {provider} {id}"), _LOGOUT_SECONDS):
            raise Problem(400, "bad-logout-token", "This logout token does not hold")
        await store.end_sessions(connection, chosen.settings.issuer, subject, session)
    return Response(status_code=200)


async def end_session_place(front: Front, issuer: str, id_token: str | None) -> str | None:
    """Where a browser ends its session at the provider that vouched for it; None where that can't be had."""
    for provider in front.providers.values():
        if provider.settings.issuer == issuer:
            try:
                return await provider.end_session(id_token, f"{front.public_url}{SIGN_IN_PAGE}?parti")
            except SignInFailed:
                return None
    return None
