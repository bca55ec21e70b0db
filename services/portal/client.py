"""A client of the public API that speaks with the visitor's own session and holds no right of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from uuid import UUID

import aiohttp
from pydantic import BaseModel, ValidationError

from contracts.directory import RoleName
from contracts.feed import ItemPut
from services.portal.answers import Averages, Grade, GradesPage, MessagesPage, Preferences, School
from services.portal.settings import PortalSettings

_Model = TypeVar("_Model", bound=BaseModel)

SESSION_COOKIE = "__Host-preau_session"
_MOST_GRADES = 1000
DEVICE_COOKIE = "__Host-preau_device"
IDENTITY_COOKIE = "__Host-preau_identity"
CARRIED = (SESSION_COOKIE, DEVICE_COOKIE, IDENTITY_COOKIE)
"""The cookies of the public API that pages carry between it and the browser, without knowing what is in them."""
_LONGEST_ANSWER = 4 * 1024 * 1024
_SESSION = re.compile(r"^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,4096}$")


class Unavailable(Exception):
    """The public API did not answer in time, or not as it should."""


class NotSignedIn(Exception):
    """There is no session, or it is over."""


class Refused(Exception):
    """The public API refused this request of this visitor."""


class NotThere(Refused):
    """The public API knows nothing of this address."""


class Throttled(Exception):
    """Too many attempts; `seconds` says when the next one is welcome."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class WrongCredentials(Exception):
    """No account has this login and password."""


class WrongCode(Exception):
    """This activation code is unknown, used or over."""


class Taken(Exception):
    """An activation that another account stands in the way of; `code` is the public API's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Label(BaseModel):
    """A provider's name in both languages."""

    fr: str
    en: str


class Provider(BaseModel):
    """A provider that people may sign in with."""

    name: str
    label: Label


class Providers(BaseModel):
    """Providers, and the name of the one that has just named a visitor whom nobody here knows yet."""

    items: list[Provider] = []
    pending: str | None = None


class _SignedOut(BaseModel):
    end_session: str


class _Problem(BaseModel):
    code: str = ""


class Person(BaseModel):
    """Who is signed in."""

    id: UUID
    given_name: str
    family_name: str


class HeldRole(BaseModel):
    """A role at a school."""

    name: RoleName
    uai: str
    school_name: str
    starts: date | None = None
    ends: date | None = None


class Child(BaseModel):
    """A child whose news the visitor may read."""

    id: UUID
    given_name: str
    family_name: str
    class_name: str | None = None
    uai: str
    school_name: str


class Me(BaseModel):
    """What the platform says of the visitor; an operator is no person of the directory."""

    person: Person | None = None
    roles: list[HeldRole] = []
    children: list[Child] = []


class FeedPage(BaseModel):
    """One page of the feed, where the older one begins, and the place in the stream from which to follow."""

    items: list[ItemPut]
    next: str | None = None
    cursor: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """What of the visitor's request goes on to the public API."""

    session: str | None
    headers: Mapping[str, str]
    carried: Mapping[str, str] = field(default_factory=dict)
    """What else the public API keeps in the browser, by the cookie's name."""

    def forwarded(self) -> dict[str, str]:
        """The headers of a call made on behalf of this visitor."""
        headers = dict(self.headers)
        cookies = {SESSION_COOKIE: self.session or "", **self.carried}
        sent = [f"{name}={value}" for name, value in cookies.items() if _SESSION.match(value)]
        if sent:
            headers["Cookie"] = "; ".join(sent)
        return headers


@dataclass(frozen=True, slots=True)
class FeedQuery:
    """Which part of the feed is asked for."""

    child: UUID | None = None
    category: str | None = None
    before: str | None = None
    limit: int = 30

    def parameters(self) -> dict[str, str]:
        """As the query string of `GET /v1/feed`."""
        given = {"child": self.child, "category": self.category, "before": self.before, "limit": self.limit}
        return {name: str(value) for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    cookies: list[str]
    retry_after: int


class PublicApi:
    """Calls of the public API, bounded in number, time and size."""

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._base = settings.gateway_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool of connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.gateway_connections),
            timeout=aiohttp.ClientTimeout(total=self._settings.gateway_seconds, connect=2),
            # A jar would carry one visitor's session into another's request.
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def me(self, visitor: Visitor) -> Me:
        """Who the visitor is; raises `NotSignedIn` or `Unavailable`."""
        answer = await self._call("GET", "/v1/me", visitor)
        try:
            return _read(Me, answer)
        except Refused:
            return Me()

    async def feed(self, visitor: Visitor, query: FeedQuery) -> FeedPage:
        """A page of the feed; raises `Refused` for a filter or a place the visitor may not have."""
        return _read(FeedPage, await self._call("GET", "/v1/feed", visitor, query=query.parameters()))

    async def school(self, visitor: Visitor, uai: str) -> School:
        """A school with its terms; without any for who is nothing there but reads about a child."""
        try:
            return _read(School, await self._call("GET", f"/v1/schools/{uai}", visitor))
        except Refused:
            return School()

    async def averages(self, visitor: Visitor, pupil: UUID, school_year: int | None) -> Averages:
        """A pupil's averages of a school year, the latest with grades where none is named; raises `Refused`."""
        query = {} if school_year is None else {"school_year": str(school_year)}
        return _read(Averages, await self._call("GET", f"/v1/pupils/{pupil}/averages", visitor, query=query))

    async def grades(self, visitor: Visitor, pupil: UUID, term: UUID) -> list[Grade]:
        """A pupil's grades of a term, latest published first, a thousand at the most; raises `Refused`."""
        query, found = {"term": str(term), "limit": "200"}, list[Grade]()
        while True:
            page = _read(GradesPage, await self._call("GET", f"/v1/pupils/{pupil}/grades", visitor, query=query))
            found += page.grades
            if page.next is None or len(found) >= _MOST_GRADES:
                return found
            query["before"] = str(page.next)

    async def preferences(self, visitor: Visitor) -> Preferences:
        """What the visitor wants to be told; raises `Refused` or `Unavailable`."""
        return _read(Preferences, await self._call("GET", "/v1/me/notifications", visitor))

    async def prefer(self, visitor: Visitor, preferences: Preferences) -> None:
        """Choose what to be told; raises `Refused` or `Unavailable`."""
        body = preferences.model_dump(mode="json", exclude={"email": {"address"}})
        _read(Preferences, await self._call("PUT", "/v1/me/notifications", visitor, body=body))

    async def messages(self, visitor: Visitor) -> MessagesPage:
        """The latest messages to the visitor; raises `Refused` or `Unavailable`."""
        return _read(MessagesPage, await self._call("GET", "/v1/me/messages", visitor, query={"limit": "30"}))

    async def sign_in(self, visitor: Visitor, login: str, password: str) -> list[str]:
        """The cookies of a new session; raises `WrongCredentials`, `Throttled` or `Unavailable`."""
        answer = await self._call("POST", "/v1/sessions", visitor, body={"login": login, "password": password})
        if answer.status == 429:
            raise Throttled(answer.retry_after)
        if answer.status >= 400:
            raise WrongCredentials
        if not answer.cookies:
            raise Unavailable
        return answer.cookies

    async def sign_out(self, visitor: Visitor) -> str | None:
        """End the visitor's session; returns where a provider's own ends. One that is already over is no error."""
        answer = await self._call("DELETE", "/v1/sessions/current", visitor)
        return _read(_SignedOut, answer).end_session if answer.status == 200 else None

    async def providers(self, visitor: Visitor) -> Providers:
        """The providers that people may sign in with."""
        return _read(Providers, await self._call("GET", "/v1/sign-in", visitor))

    async def activate(self, visitor: Visitor, code: str, own: Mapping[str, str] | None) -> list[str]:
        """The cookies of a new session; raises `WrongCode`, `Taken`, `Throttled` or `Unavailable`.

        `own` is a login and a password; None leaves it to who a provider has just said the visitor is.
        """
        body: dict[str, object] = {"code": code} | ({"own": dict(own)} if own else {})
        answer = await self._call("POST", "/v1/activations", visitor, body=body)
        if answer.status == 429:
            raise Throttled(answer.retry_after)
        if answer.status >= 400:
            kind = _problem(answer)
            raise Taken(kind) if answer.status == 409 or kind == "no-identity" else WrongCode
        return answer.cookies

    async def _call(
        self,
        method: str,
        path: str,
        visitor: Visitor,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> _Answer:
        if self._session is None:
            raise Unavailable
        url, headers = self._base + path, visitor.forwarded()
        try:
            async with self._session.request(
                method, url, params=query, json=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await _received(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable from error
        if answer.status >= 500:
            raise Unavailable
        return answer


async def _received(response: aiohttp.ClientResponse) -> _Answer:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _LONGEST_ANSWER:
            raise Unavailable
        chunks.append(chunk)
    cookies = [c for c in response.headers.getall("Set-Cookie", []) if c.partition("=")[0] in CARRIED]
    after = response.headers.get("Retry-After", "")
    return _Answer(response.status, b"".join(chunks), cookies, int(after) if after.isdigit() else 60)


def _read(kind: type[_Model], answer: _Answer) -> _Model:
    if answer.status == 401:
        raise NotSignedIn
    if answer.status >= 400:
        raise NotThere if answer.status == 404 else Refused
    try:
        # Read as JSON, where ids and times are strings, and tolerant: a reader ignores fields it does not know.
        return kind.model_validate_json(answer.body, extra="ignore")
    except ValidationError as error:
        raise Unavailable from error


def _problem(answer: _Answer) -> str:
    try:
        return _Problem.model_validate_json(answer.body, extra="ignore").code
    except ValidationError:
        return ""


def signed_out_cookie() -> str:
    """A `Set-Cookie` that makes the browser forget the session, whatever the platform answered."""
    return f"{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
