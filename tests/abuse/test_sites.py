"""Other sites, other hosts, other frames: what a browser may be led to do, and what an answer may leave behind in it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from tests.abuse.scene import Scene
from tests.abuse.sockets import COOKIE, Answer, exchange, get, session_of
from tests.platform import Platform

EVIL = "https://evil.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def foreign(platform: Platform) -> list[dict[str, str]]:
    """How a request from elsewhere looks; the last looks like nothing at all."""
    host = platform.base_url.removeprefix("http://")
    name, _, port = host.partition(":")
    origins = [
        EVIL, "null", f"http://{host}.evil.example", f"http://evil.example/{host}", f"http://{host}@evil.example",
        f"http://evil.example:{port}", f"http://{name}:1", f"{host}", "", f"http://{name}", f"http://{host} {EVIL}",
        f"file://{host}",
    ]  # fmt: skip
    return [
        *({"Origin": one} for one in origins),
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ]


async def test_no_write_that_rests_on_a_cookie_comes_from_elsewhere(platform: Platform) -> None:
    cookie = await session_of(platform, platform.guardian)
    chosen = await asyncio.to_thread(platform.ok, "GET", "/v1/me/notifications", by=platform.guardian.login)
    del chosen["email"]["address"]
    turned = json.dumps({**chosen, "categories": dict.fromkeys(chosen["categories"], False)}).encode()
    writes = [
        ("PUT", "/v1/me/notifications", JSON, turned), ("POST", "/v1/tokens", JSON, b'{"name": "stolen"}'),
        ("POST", "/v1/tokens", {"Content-Type": "text/plain"}, b'{"name": "stolen"}'),
        ("DELETE", "/v1/sessions/current", {}, b""), ("POST", "/deconnexion", FORM, b""),
        ("POST", "/notifications", FORM, b"language=en"), ("POST", "/connexion", FORM, b"login=a&password=b"),
        ("POST", "/activation", FORM, b"code=a&login=b&password=cccccccc"),
    ]  # fmt: skip
    before = await asyncio.to_thread(platform.ok, "GET", "/v1/tokens", by=platform.guardian.login)
    wrong = []
    for method, path, kind, body in writes:
        for headers in foreign(platform):
            answer = await exchange(platform, method, path, {"Cookie": cookie, **kind, **headers}, body)
            if answer.status != 403:
                wrong.append(f"{method} {path} {headers}: {answer.status}")
    assert wrong == []
    assert (await get(platform, "/v1/me", cookie)).status == 200
    left = await asyncio.to_thread(platform.ok, "GET", "/v1/me/notifications", by=platform.guardian.login)
    assert {**left, "email": {"enabled": left["email"]["enabled"]}} == chosen
    assert await asyncio.to_thread(platform.ok, "GET", "/v1/tokens", by=platform.guardian.login) == before


async def test_nobody_is_signed_in_from_elsewhere(platform: Platform) -> None:
    """A visitor signed in as the attacker would write into the attacker's account."""
    who = platform.stranger
    body = json.dumps({"login": who.login, "password": who.password}).encode()
    for headers in foreign(platform)[:-1]:
        answer = await exchange(platform, "POST", "/v1/sessions", {**JSON, **headers}, body)
        assert (answer.status, answer.headers.get("set-cookie")) == (403, None), headers


async def test_no_other_site_may_read(platform: Platform) -> None:
    cookie = await session_of(platform, platform.guardian)
    asks = {"Origin": EVIL, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    for method, path in (
        ("OPTIONS", "/v1/me"), ("OPTIONS", "/v1/me/notifications"), ("OPTIONS", "/v1/sessions"), ("OPTIONS", "/"),
        ("GET", "/v1/me"), ("GET", "/v1/feed"), ("GET", "/"), ("GET", "/v1/openapi.json"), ("OPTIONS", "/v1/stream"),
    ):  # fmt: skip
        answer = await exchange(platform, method, path, {"Cookie": cookie, **asks})
        assert not [name for name in answer.headers if name.startswith("access-control-")], path


async def test_a_method_in_a_header_a_field_or_a_query_is_none(scene: Scene) -> None:
    platform, token = scene.platform, scene.victim.token
    operator = {"Authorization": f"Bearer {platform.operator_token}"}
    for headers in ({"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "DELETE"}, {"X-Method-Override": "DELETE"}):
        for method in ("GET", "POST"):
            answer = await exchange(
                platform, method, f"/v1/tokens/{token}?_method=DELETE", {**operator, **headers, **FORM}
            )
            assert answer.status == 405
    for method in ("TRACE", "TRACK", "PATCH", "PROPFIND", "PURGE", "LOCK"):
        answer = await exchange(platform, method, "/v1/me", operator)
        assert answer.status in (400, 405), method
        assert platform.operator_token.encode() not in answer.body
    listed = await asyncio.to_thread(platform.ok, "GET", "/v1/tokens", by="operator")
    assert token in {one["id"] for one in listed["items"]}


PLACES = (
    EVIL, "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "///evil.example", "/%2f%2fevil.example",
    "/?x\r\nSet-Cookie: a=b", "/?\nLocation: https://evil.example", "javascript:alert(1)", "/@evil.example", ".evil.example",
    "/notes/..//evil.example", "/\tevil", "/connexion", "/v1/me", "/?é", "data:text/html,x", " https://evil.example",
)  # fmt: skip


@pytest.mark.parametrize("suite", PLACES)
async def test_nobody_is_led_away(platform: Platform, suite: str) -> None:
    form = f"login={platform.guardian.login}&password={platform.guardian.password}&suite={quote(suite)}".encode()
    headers = {"Origin": platform.base_url, **FORM}
    answers = [
        await get(platform, f"/langue/en?suite={quote(suite, safe='')}"),
        await exchange(platform, "POST", "/connexion", headers, form),
    ]
    for answer in answers:
        place = answer.headers["location"]
        assert answer.status == 303
        assert place == "/" or (place.startswith("/?") and "\n" not in place)
        assert not [name for name in answer.headers if name in ("a", "evil")]
        assert "a=b" not in answer.headers.get("set-cookie", "")


async def test_a_host_that_is_another_changes_nothing(platform: Platform) -> None:
    """No address in an answer is made from what a client says the host is."""
    cookie = await session_of(platform, platform.guardian)
    for headers in (
        {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"},
        {"Host": "evil.example:80@x"}, {"Host": "\"><script>"}, {"X-Forwarded-Proto": "javascript"},
    ):  # fmt: skip
        for path in ("/", "/connexion", "/nowhere", "/notes", "/v1/sign-in/school?suite=/", "/v1/nothing"):
            answer = await exchange(platform, "GET", path, {"Cookie": cookie, **headers})
            assert b"evil" not in answer.body, (headers, path)
            assert b"<script>" not in answer.body
            assert "evil" not in answer.headers.get("location", "")


HOSTILE = (
    "a\r\nSet-Cookie: evil=1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a%0d%0aX-Evil: 1",
    "é\u2028X-Evil: 1",
    "a\x85X-Evil: 1",
)


async def test_no_header_comes_out_of_what_goes_in(scene: Scene) -> None:
    """Line breaks in whatever a header of an answer is made from: paths, queries, keys, tags, names."""
    platform = scene.platform
    operator, host = {"Authorization": f"Bearer {platform.operator_token}"}, {"Origin": platform.base_url}
    answers = list[Answer]()
    for text in HOSTILE:
        said, raw = quote(text, safe=""), text.replace("\r", "").replace("\n", "").encode("utf-8").decode("latin-1")
        for path in (
            f"/v1/{said}",
            f"/langue/{said}",
            f"/static/{said}/x",
            f"/v1/sign-in/{said}",
            f"/{said}",
            f"/?avant={said}",
        ):
            answers.append(await get(platform, path))
        for name in ("X-Request-Id", "Idempotency-Key", "If-Match", "Last-Event-ID", "Accept-Language", "Origin"):
            body = b'{"name": "x"}'
            value = raw if name != "Origin" else "http://" + raw
            encoded = value.encode("latin-1", "replace").decode("latin-1")
            answers.append(await _with(platform, {**operator, **host, **JSON, name: encoded}, body))
        login = json.dumps({"login": text, "password": "not the password"}).encode()
        answers.append(await exchange(platform, "POST", "/v1/sessions", JSON, login))
    assert not [
        answer for answer in answers if "x-evil" in answer.headers or "evil=1" in answer.headers.get("set-cookie", "")
    ]
    assert not [answer for answer in answers if answer.status >= 500]


async def _with(platform: Platform, headers: dict[str, str], body: bytes) -> Answer:
    lines = {name: value for name, value in headers.items() if "\r" not in value and "\n" not in value}
    return await exchange(platform, "PATCH", "/v1/groups/00000000-0000-4000-8000-000000000000", lines, body)


PERSONAL = (
    "/",
    "/notes",
    "/notifications",
    "/v1/me",
    "/v1/feed",
    "/v1/me/messages",
    "/v1/me/notifications",
    "/v1/tokens",
)


async def test_what_is_personal_is_kept_by_no_cache_and_framed_by_nobody(platform: Platform) -> None:
    cookie = await session_of(platform, platform.guardian)
    for path in (*PERSONAL, "/connexion", "/activation", "/nowhere"):
        answer = await get(platform, path, cookie)
        policy = answer.headers["content-security-policy"]
        assert "no-store" in answer.headers["cache-control"], path
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not {"server", "x-powered-by"} & answer.headers.keys()
        if not path.startswith("/v1/"):
            assert answer.headers["x-frame-options"] == "DENY"
            assert "'unsafe" not in policy
            assert "script-src 'self'" in policy
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"


async def test_errors_tell_nothing_of_the_inside(scene: Scene) -> None:
    cookie = await session_of(scene.platform, scene.platform.guardian)
    inside = (
        b"Traceback",
        b"site-packages",
        b".py",
        b"asyncpg",
        b"SELECT",
        b"127.0.0.1:",
        b"services/",
        b"pydantic",
        b"uvicorn",
    )
    own = scene.platform.base_url.removeprefix("http://").encode()
    paths = [
        "/v1/nothing", "/v1/feed?before=%00", "/v1/feed?after=x", "/v1/feed?limit=x", "/v1/pupils/x/grades", "/nowhere",
        "/notes?enfant=%00", "/?avant=" + "x" * 1900, "/?rubrique=x", "/v1/schools/0921234S/audit?service=x", "/static/x/y",
        "/langue/xx", "/v1/sign-in/none", "/v1/sign-in/school/callback?state=x&code=y", "/v1/schemas/x", "/v1/feed?child='",
        f"/v1/pupils/{scene.victim.pupil}'--/grades", "/v1/assessments?group=1%27%20OR%201=1",
    ]  # fmt: skip
    for path in paths:
        answer = await get(scene.platform, path, cookie)
        assert answer.status < 500, path
        assert not [word for word in inside if word in answer.body.replace(own, b"")], path


async def test_a_session_is_in_no_address_and_no_page(platform: Platform) -> None:
    cookie = await session_of(platform, platform.guardian)
    secret = cookie.partition("=")[2].encode()
    assert cookie.startswith(f"{COOKIE}=")
    for path in (*PERSONAL, "/nowhere", "/langue/fr?suite=/"):
        answer = await get(platform, path, cookie)
        assert secret not in answer.body
        assert secret.decode() not in json.dumps(dict(answer.headers))
