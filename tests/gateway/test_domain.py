"""Rules of the front door."""

from __future__ import annotations

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from services.gateway import api
from services.gateway.activation.api import router as activation_routes
from services.gateway.domain import COOKIE, Kind, fold, network, presented, same_site
from services.gateway.openapi import merge
from services.gateway.openid.api import router as openid_routes
from services.gateway.proxy import passed_on
from services.gateway.routing import service_of
from services.gateway.stream.tail import RepeatGuard


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/", "portal"),
        ("/v2/me", "portal"),
        ("/v1/me", "directory"),
        ("/v1/me/notifications", "notify"),
        ("/v1/me/messages", "notify"),
        ("/v1/pupils/1/grades", "grades"),
        ("/v1/pupils/1/averages", "grades"),
        ("/v1/pupils/1/guardians/2", "directory"),
        ("/v1/pupils/1", None),
        ("/v1/assessments/1/marks/2/history", "grades"),
        ("/v1/feed", "feed"),
        ("/v1/nothing", None),
        ("/v1", None),
    ],
)
def test_paths_and_their_services(path: str, service: str | None) -> None:
    assert service_of(path) == service


@pytest.mark.parametrize("router", [api.router, openid_routes, activation_routes])
def test_what_the_gateway_answers_itself_is_no_services_path(router: APIRouter) -> None:
    paths = [route.path for route in router.routes if isinstance(route, APIRoute)]
    assert paths
    assert {service_of(path) for path in paths} == {None}


def test_each_audit_table_has_its_path() -> None:
    assert service_of("/v1/schools/0921234S/audit") == "directory"
    assert service_of("/v1/schools/0921234S/audit", b"limit=5&service=grades") == "grades"
    assert service_of("/v1/schools/0921234S/audit", b"service=portal") is None


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({b"origin": b"https://preau.example", b"host": b"preau.example"}, True),
        ({b"origin": b"https://preau.example", b"host": b"preau.example:443"}, True),
        ({b"origin": b"http://localhost:8080", b"host": b"localhost:8080"}, True),
        ({b"origin": b"https://evil.example", b"host": b"preau.example"}, False),
        ({b"origin": b"null", b"host": b"preau.example"}, False),
        ({b"origin": b"https://evil.example", b"sec-fetch-site": b"same-origin", b"host": b"preau.example"}, False),
        ({b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"same-site"}, False),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"host": b"preau.example"}, False),
    ],
)
def test_writes_by_cookie_come_from_our_own_pages(headers: dict[bytes, bytes], ours: bool) -> None:
    assert same_site(headers) is ours


def test_what_a_request_presents() -> None:
    cookie = f"a=b; {COOKIE}=secret; c".encode()
    assert presented({b"cookie": cookie}) == (Kind.SESSION, "secret")
    assert presented({b"cookie": cookie, b"authorization": b"bearer preau_x"}) == (Kind.TOKEN, "preau_x")
    assert presented({b"cookie": cookie, b"authorization": b"Bearer "}) is None
    assert presented({b"cookie": b"preau_session=x"}) is None


def test_logins_and_addresses_that_are_the_same() -> None:
    assert fold(" Zoé.STRASSE ") == fold("zoé.straße")
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1")
    assert network("nonsense") == "unknown"


def test_what_the_gateway_speaks_for_is_not_passed_on() -> None:
    given = [
        (b"Authorization", b"Bearer x"),
        (b"cookie", b"a=b"),
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"connection", b"keep-alive, X-Secret"),
        (b"x-secret", b"1"),
        (b"idempotency-key", b"k"),
    ]
    assert passed_on(given) == [("idempotency-key", "k")]


def test_repeats_are_told_by_key_and_sequence() -> None:
    guard = RepeatGuard(2)
    assert guard.is_new("/feed", "a", 5)
    assert not guard.is_new("/feed", "a", 5)
    assert not guard.is_new("/feed", "a", 4)
    assert guard.is_new("/feed", "b", 4)
    assert guard.is_new("/feed", "a", 6)
    assert guard.is_new("/feed", "c", 1)
    assert not guard.is_new("/feed", "a", 6)
    assert guard.is_new("/feed", "a", None)


def test_one_description_of_several_services() -> None:
    own = {"paths": {"/v1/tokens": {"get": {}}}, "components": {"schemas": {"Page": {"type": "object"}}}}
    feed = {
        "paths": {
            "/v1/feed": {"get": {"schema": {"$ref": "#/components/schemas/Page"}}},
            "/v1/me": {"get": {}},
            "/v1/tokens": {"get": {"other": 1}},
        },
        "components": {"schemas": {"Page": {"type": "array"}, "Item": {"type": "string"}}},
    }
    merged = merge(own, {"feed": feed})
    assert set(merged["paths"]) == {"/v1/tokens", "/v1/feed"}
    assert merged["paths"]["/v1/feed"]["get"]["schema"] == {"$ref": "#/components/schemas/FeedPage"}
    assert merged["components"]["schemas"] == {
        "Page": {"type": "object"},
        "FeedPage": {"type": "array"},
        "Item": {"type": "string"},
    }
    assert merged["paths"]["/v1/tokens"] == {"get": {}}
