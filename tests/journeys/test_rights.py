"""Rights and sessions at the moment of sending, at whichever worker the stream is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from cli import demo_school as school
from cli.demo.checker import Kind
from cli.demo.client import Api, session
from cli.demo.notes import Notes
from cli.demo.reader import Reader
from cli.demo.stage import Stage
from tests.journeys.openings import opened
from tests.platform import Platform

LEA = str(school.PUPIL.id)
LINK = f"/v1/pupils/{LEA}/guardians/{school.SEPARATED.id}"
COOKIE = "__Host-preau_session"


def told(stage: Stage, reader: Reader, name: str, since: float) -> Callable[[], bool]:
    return lambda: any(n.name == name and n.reader is reader and n.at >= since for n in stage.notes.news)


async def test_a_withdrawn_right_silences_the_streams_of_both_workers_within_a_second(stage: Stage) -> None:
    member, desk, operator = stage.cast.members[school.SEPARATED.login], stage.desks["6e1"], stage.cast.operator
    links = (await operator.get(f"/v1/pupils/{LEA}/guardians"))["guardians"]
    kept = next(link for link in links if link["person"] == member.id)
    async with opened(stage, member, 2) as readers:
        try:
            await operator.call("DELETE", LINK)
            withdrawn = time.time()
            for reader in readers:
                stage.close_right(reader.name, f"guardians:pupils/{LEA}")
                await stage.expect(told(stage, reader, "scope-removed", withdrawn - 5), "it is told", 1)
            stage.close_right(member.name, f"guardians:pupils/{LEA}")
            assert time.time() - withdrawn < 1
            await desk.mark(await desk.assessment(stage.title("Sans lui")), {LEA: Decimal(3)})
            await stage.expect_all("the others have it")
            assert stage.got(school.SEPARATED, stage.title("Sans lui")) == []

            async def unread() -> bool:
                return not (await member.api.get("/v1/feed"))["items"]

            await stage.poll(unread, "the history is closed too", 2)
        finally:
            granted = time.time()
            await operator.call("PUT", LINK, {name: kept[name] for name in ("kind", "starts", "ends")})
        for reader in readers:
            await stage.expect(told(stage, reader, "scope-added", granted), "it is told", 2)


async def test_a_right_is_dated_out_and_granted_on_streams_of_both_workers_within_a_second(stage: Stage) -> None:
    member, desk, operator = stage.cast.members[school.SEPARATED.login], stage.desks["6e1"], stage.cast.operator
    links = (await operator.get(f"/v1/pupils/{LEA}/guardians"))["guardians"]
    kept = next(link for link in links if link["person"] == member.id)
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    after, again = stage.title("Après son terme"), stage.title("De nouveau")
    async with opened(stage, member, 2) as readers:
        assert len({reader.worker for reader in readers}) == 2
        try:
            asked = time.time()
            ended = {"kind": kept["kind"], "starts": "2020-01-01", "ends": f"{today}"}
            await operator.call("PUT", LINK, ended)
            await all_told_within_a_second(stage, readers, "scope-removed", asked)
            for name in (member.name, *(reader.name for reader in readers)):
                stage.close_right(name, f"guardians:pupils/{LEA}")
            await desk.mark(await desk.assessment(after), {LEA: Decimal(3)})
            await stage.expect_all("the others have it")
        finally:
            asked = time.time()
            await operator.call("PUT", LINK, {name: kept[name] for name in ("kind", "starts", "ends")})
        await all_told_within_a_second(stage, readers, "scope-added", asked)
        assert not any(live(stage, reader, after) for reader in readers)
    # Who is told of a right reads the page and comes again, to whichever worker.
    async with opened(stage, member, 2) as readers:
        assert len({reader.worker for reader in readers}) == 2
        await desk.mark(await desk.assessment(again), {LEA: Decimal(4)})
        await stage.expect(lambda: all(has(stage, reader, again) for reader in readers), "both have what is new", 10)


async def all_told_within_a_second(stage: Stage, readers: Sequence[Reader], name: str, asked: float) -> None:
    """Streams are told something that was asked for and is answered by now."""
    answered = time.time()

    def all_told() -> bool:
        # Who is told that a scope was added comes again at once, and hears of no other.
        found = [n for n in stage.notes.news if n.name == name and asked <= n.at < answered + 1]
        return {n.reader for n in found} >= {*readers}

    await stage.expect(all_told, f"both are told: {name}", 1)


def live(stage: Stage, reader: Reader, title: str) -> bool:
    """Whether a stream has shown a grade as it came."""
    return has(stage, reader, title, Kind.LIVE)


def has(stage: Stage, reader: Reader, title: str, *kinds: Kind) -> bool:
    """Whether a reader was shown a grade, on the stream or, where a stream was told of the right late, on the page."""
    return any(
        one.reader == reader.name and one.key.startswith(f"{title} |") and (not kinds or one.kind in kinds)
        for one in stage.notes.seen
    )


async def test_signing_out_at_one_worker_ends_the_stream_at_the_other(platform: Platform) -> None:
    notes = Notes()
    async with session() as http:
        body = {"login": platform.guardian.login, "password": platform.guardian.password}
        async with http.post(f"{platform.base_url}/v1/sessions", json=body) as answer:
            assert answer.status == 201
            secret = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        api = Api(http, platform.base_url, None)
        api.headers = {"Cookie": f"{COOKIE}={secret}", "Origin": platform.base_url}
        first, second = Reader("first", api, notes.take), Reader("second", api, notes.take)
        first.open()
        assert await notes.until(lambda: bool(first.worker), 5)
        second.open(avoiding=first.worker)
        assert await notes.until(lambda: bool(second.worker), 5)
        assert first.worker != second.worker
        await api.call("DELETE", "/v1/sessions/current")
        signed_out = time.monotonic()
        for reader in (first, second):
            await reader.ended(5)
            assert reader.refused == "unauthenticated"
        assert time.monotonic() - signed_out < 5


async def test_a_revoked_token_ends_its_stream(stage: Stage) -> None:
    member = await stage.cast.sign_in(school.ADVISER.login)
    reader = Reader(member.name, member.api, stage.notes.take)
    reader.open()
    await stage.expect(lambda: bool(reader.worker), "it is open")
    await stage.cast.operator.call("DELETE", f"/v1/tokens/{member.token_id}")
    await reader.ended(5)
    assert reader.refused == "unauthenticated"
