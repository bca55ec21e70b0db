"""The stream over a real socket: items as they come, resumes, rights, ends."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from chassis.cursor import Cursors
from contracts.directory import LinkKind
from contracts.feed import ItemPut
from tests import rosters
from tests.gateway.conftest import SECRET, Gateway, Services, Start, item_of, person
from tests.gateway.streams import Client, stream
from tests.rosters import link, pupil

CURSORS = Cursors(SECRET.encode())


def title(data: str) -> str:
    return ItemPut.model_validate_json(data).title.fr


async def titles(client: Client, count: int) -> list[str]:
    return [title((await client.next()).data) for _ in range(count)]


async def test_a_guardian_sees_their_childs_items_and_nobody_elses(gateway: Gateway) -> None:
    mother, other = await gateway.token("mother"), await gateway.token("other mother")
    async with stream(gateway.http, gateway.url, mother) as one, stream(gateway.http, gateway.url, other) as two:
        await one.first_id()
        await two.first_id()
        await gateway.publish("zoé", "first")
        await gateway.publish("ali", "second")
        message = await one.next()
        assert (message.name, title(message.data)) == ("item", "first")
        assert await titles(two, 1) == ["second"]
        headers = one.response.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")
        assert headers["Preau-Worker"]
        assert headers["X-Request-Id"]
        assert 1000 <= one.retry <= 3000


async def test_a_reader_who_comes_back_misses_nothing_and_gets_nothing_twice(gateway: Gateway) -> None:
    mother = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        await gateway.publish("zoé", "one")
        assert await titles(client, 1) == ["one"]
        last = client.last_id
    await gateway.publish("zoé", "two")
    await gateway.publish("ali", "not hers")
    await gateway.publish("zoé", "three")
    async with stream(gateway.http, gateway.url, mother, last_id=last, cursor="ignored") as client:
        assert await titles(client, 2) == ["two", "three"]
        await gateway.publish("zoé", "four")
        assert await titles(client, 1) == ["four"]
    async with stream(gateway.http, gateway.url, mother, cursor=last) as client:
        assert await titles(client, 3) == ["two", "three", "four"]


async def test_a_process_that_starts_has_a_warm_ring(gateway: Gateway, start: Start) -> None:
    mother = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, mother) as client:
        last = await client.first_id()
    await gateway.publish("zoé", "one")
    second = await start()
    async with stream(gateway.http, second.url, mother, last_id=last) as client:
        assert await titles(client, 1) == ["one"]


async def test_a_cursor_that_can_not_be_honoured_is_reset_and_the_stream_goes_on(gateway: Gateway) -> None:
    mother = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, mother) as client:
        good = CURSORS.read(await client.first_id())
    refused = {
        "forged": "unreadable",
        CURSORS.issue(2, 0, good.reader): "other-generation",
        CURSORS.issue(1, 0, CURSORS.reader("somebody", [])): "scopes-changed",
    }
    for cursor, reason in refused.items():
        async with stream(gateway.http, gateway.url, mother, last_id=cursor) as client:
            message = await client.next()
            assert (message.name, json.loads(message.data)) == ("reset", {"reason": reason})
            await gateway.publish("zoé", reason)
            assert await titles(client, 1) == [reason]


async def test_a_right_that_is_withdrawn_ends_at_once_and_one_that_is_granted_begins(gateway: Gateway) -> None:
    token = await gateway.token("mother")
    mine = f"guardians:pupils/{person('zoé')}"
    async with stream(gateway.http, gateway.url, token) as client:
        await client.first_id()
        await gateway.change(pupil("zoé", [link("father")]))
        removed = {json.loads((await client.next()).data)["scope"] for _ in range(3)}
        assert mine in removed
        # Told by a change that the streams hear of before the roster's database does.
        await gateway.change(pupil("zoé", [link("mother")]), known=False)
        await gateway.publish("zoé", "again hers")
        messages = [await client.next() for _ in range(4)]
        assert [m.name for m in messages] == ["scope-added"] * 3 + ["item"]
        assert CURSORS.read(messages[-1].id).reader == CURSORS.read(messages[0].id).reader


async def test_what_a_school_opens_to_a_kind_of_link_begins_on_open_streams_and_ends_with_it(gateway: Gateway) -> None:
    mother, nanny = await gateway.token("mother"), await gateway.token("nanny")
    async with stream(gateway.http, gateway.url, nanny) as client, stream(gateway.http, gateway.url, mother) as other:
        await client.first_id()
        await other.first_id()
        await gateway.change(rosters.school(opened_to=[LinkKind.PERSON_IN_CHARGE]))
        assert [(await client.next()).name for _ in range(3)] == ["scope-added"] * 3
        await gateway.publish("zoé", "opened")
        assert await titles(client, 1) == ["opened"]
        await gateway.change(rosters.school())
        assert [(await client.next()).name for _ in range(3)] == ["scope-removed"] * 3
        await gateway.publish("zoé", "closed")
        # What others may see they go on seeing, and are told nothing.
        assert await titles(other, 2) == ["opened", "closed"]


async def test_an_item_waits_for_the_rights_it_was_made_under(gateway: Gateway) -> None:
    token = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, token) as client:
        await client.first_id()
        await gateway.publish("zoé", "before")
        assert await titles(client, 1) == ["before"]
        ahead = await gateway.change(rosters.adult("somebody")) + 1_000_000
        await gateway.publish("zoé", "waits", position=ahead)
        await gateway.publish("zoé", "waits behind it")
        await gateway.send_change(pupil("zoé", [link("father")]), ahead)
        await client.next()
        await client.next()
        assert (await client.next()).name == "scope-removed"
        await gateway.send_change(pupil("zoé", [link("mother")]), ahead + 1)
        names = [(await client.next()).name for _ in range(3)]
        assert names == ["scope-added"] * 3
        await gateway.publish("zoé", "after")
        assert await titles(client, 1) == ["after"]


async def test_a_repeat_is_not_sent_again(gateway: Gateway) -> None:
    token = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, token) as client:
        await client.first_id()
        _, sequence = await gateway.publish("zoé", "once")
        await gateway.publish("zoé", "once", sequence=sequence)
        await gateway.publish("zoé", "next")
        assert await titles(client, 2) == ["once", "next"]


async def test_a_record_of_a_type_from_the_future_is_passed_over_and_cursors_go_past_it(gateway: Gateway) -> None:
    token = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, token) as client:
        before = await client.first_id()
        unknown, _ = await gateway.publish("zoé", "from the future", kind="feed.item.put.v9")
        known, _ = await gateway.publish("zoé", "of today")
        message = await client.next()
        assert (message.name, title(message.data)) == ("item", "of today")
        assert CURSORS.read(message.id).offset == known > unknown
    async with stream(gateway.http, gateway.url, token, last_id=before) as client:
        assert await titles(client, 1) == ["of today"]
    async with stream(gateway.http, gateway.url, token, last_id=message.id) as client:
        await gateway.publish("zoé", "next")
        assert await titles(client, 1) == ["next"]


async def test_what_the_ring_no_longer_has_comes_from_the_history(start: Start, services: Services) -> None:
    gateway = await start(ring_items=2)
    for document in rosters.small_school():
        await gateway.change(document)
    mother = await gateway.token("mother")
    async with stream(gateway.http, gateway.url, mother) as client:
        last = await client.first_id()
    reader = CURSORS.read(last).reader
    places = [(await gateway.publish("zoé", f"item {number}"))[0] for number in range(6)]

    async def history(request: web.Request) -> web.Response:
        after = CURSORS.read(request.query["after"]).offset
        found = [
            json.loads(item_of("zoé", f"item {n}").model_dump_json()) | {"cursor": CURSORS.issue(1, place, reader)}
            for n, place in enumerate(places)
            if place > after
        ][:2]
        # Nobody is sent what they may not see, whatever the history says.
        foreign = json.loads(item_of("ali", "foreign").model_dump_json())
        cursor = found[-1]["cursor"] if found else CURSORS.issue(1, places[-1], reader)
        return web.json_response({"items": [foreign, *found], "cursor": cursor, "more": True})

    services.answer = history
    async with stream(gateway.http, gateway.url, mother, last_id=last) as client:
        assert await titles(client, 6) == [f"item {number}" for number in range(6)]
        await gateway.publish("zoé", "live")
        assert await titles(client, 1) == ["live"]
    assert len(services.asked) == 2


async def missed(gateway: Gateway, token: str) -> tuple[str, str, int]:
    """Three items that a ring of one is past: the cursor before them, the cursor behind them, the place of the last."""
    async with stream(gateway.http, gateway.url, token) as client:
        before = await client.first_id()
        for number in range(3):
            place, _ = await gateway.publish("zoé", f"item {number}")
            # One by one: a ring of one item has no room for two that are gathered.
            await titles(client, 1)
        return before, client.last_id, place


async def test_a_history_that_refuses_resets(start: Start, services: Services) -> None:
    gateway = await start(ring_items=1)
    for document in rosters.small_school():
        await gateway.change(document)
    mother = await gateway.token("mother")
    last, _, _ = await missed(gateway, mother)

    async def gone(_: web.Request) -> web.Response:
        return web.json_response({}, status=410)

    services.answer = gone
    async with stream(gateway.http, gateway.url, mother, last_id=last) as client:
        message = await client.next()
        assert (message.name, json.loads(message.data)) == ("reset", {"reason": "too-old"})


async def test_a_history_that_is_behind_ends_a_stream_whose_cursor_then_holds_good(
    start: Start, services: Services
) -> None:
    """As while feed's lost database is read up: it has nothing yet, and will have all."""
    gateway = await start(ring_items=1)
    for document in rosters.small_school():
        await gateway.change(document)
    mother = await gateway.token("mother")
    last, newest, place = await missed(gateway, mother)
    own = CURSORS.read(newest).reader

    async def behind(request: web.Request) -> web.Response:
        return web.json_response({"items": [], "cursor": request.query["after"], "more": False})

    async def read_up(_: web.Request) -> web.Response:
        found = [json.loads(item_of("zoé", f"item {number}").model_dump_json()) for number in range(3)]
        return web.json_response({"items": found, "cursor": CURSORS.issue(1, place, own), "more": False})

    services.answer = behind
    async with stream(gateway.http, gateway.url, mother, last_id=last) as client:
        with pytest.raises(EOFError):
            await client.next()
    services.answer = read_up
    async with stream(gateway.http, gateway.url, mother, last_id=client.last_id or last) as client:
        assert await titles(client, 3) == ["item 0", "item 1", "item 2"]


async def test_one_account_has_a_bounded_number_of_streams(start: Start) -> None:
    gateway = await start(streams_per_account=1)
    mother = await gateway.token("mother")
    headers = {"Authorization": f"Bearer {mother}"}
    async with stream(gateway.http, gateway.url, mother) as client:
        await client.first_id()
        async with gateway.http.get(f"{gateway.url}/v1/stream", headers=headers) as refused:
            assert refused.status == 429
            assert refused.headers["Retry-After"]
            assert (await refused.json())["code"] == "too-many-streams"
    async with stream(gateway.http, gateway.url, await gateway.token("other mother")) as client:
        await client.first_id()


async def test_who_has_not_signed_in_gets_no_stream_and_who_asks_otherwise_is_told(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/v1/stream") as refused:
        assert (refused.status, refused.content_type) == (401, "application/problem+json")
    async with gateway.http.post(f"{gateway.url}/v1/stream") as refused:
        assert refused.status == 405
    operator = {"Authorization": f"Bearer {gateway.operator}"}
    async with gateway.http.get(f"{gateway.url}/v1/stream", headers=operator) as refused:
        assert refused.status == 403
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/stream HTTP/1.0\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_revoked_token_ends_its_streams_at_every_process(gateway: Gateway, start: Start) -> None:
    second = await start()
    mother = await gateway.token("mother")
    async with stream(gateway.http, second.url, mother) as client:
        await client.first_id()
        headers = {"Authorization": f"Bearer {mother}"}
        async with gateway.http.get(f"{gateway.url}/v1/tokens", headers=headers) as response:
            id = (await response.json())["items"][0]["id"]
        async with gateway.http.delete(f"{gateway.url}/v1/tokens/{id}", headers=headers) as response:
            assert response.status == 204
        await client.until_end()
        assert client.ended
    async with gateway.http.get(f"{second.url}/v1/me", headers=headers) as response:
        assert response.status == 401


async def test_a_process_that_stops_ends_its_streams_in_order(start: Start) -> None:
    gateway = await start()
    async with stream(gateway.http, gateway.url, await gateway.token("mother")) as client:
        await client.first_id()
        gateway.process.stopping.set()
        await client.until_end()
        assert client.ended


async def test_heartbeats_come(start: Start) -> None:
    gateway = await start(heartbeat_seconds=0.1)
    async with stream(gateway.http, gateway.url, await gateway.token("mother")) as client:
        await client.first_id()
        while client.beats < 3:
            assert await client._block() is None
