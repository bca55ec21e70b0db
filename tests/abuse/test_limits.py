"""Too much, too long, too often: what one client may take of the front door, while others are served."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import statistics
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import urlsplit

import psutil
import pytest

from chassis.wire import HEAD_BYTES
from infra.local.control import ask
from tests.abuse.scene import Scene
from tests.abuse.sockets import Wire, exchange, wire
from tests.platform import Platform

CROWD = 5000
MIB = 1024 * 1024
Part = Callable[[], AsyncIterator[bytes]]


def processes(platform: Platform, *services: str) -> list[psutil.Process]:
    parts = (ask(platform.home, "status") or {})["parts"]
    return [psutil.Process(part["pid"]) for part in parts if part["part"].partition("-")[0] in services]


def memory(platform: Platform, *services: str) -> int:
    """Bytes that the processes of these services hold; of the gateway where none is named."""
    return sum(process.memory_info().rss for process in processes(platform, *(services or ("gateway",))))


@contextlib.asynccontextmanager
async def crowd(platform: Platform, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that ask for nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 500:
        if hard < count + 500:
            pytest.skip(f"this machine lets a process have {hard} files open")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
    address = urlsplit(platform.base_url)
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(0, count, 250):
            opened += await asyncio.gather(
                *(asyncio.open_connection(address.hostname, address.port) for _ in range(250))
            )
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def drip(platform: Platform, head: bytes, drop: bytes) -> float:
    """Send a head, then a drop now and then; returns how long the connection lasted."""
    began = time.monotonic()
    async with wire(platform.base_url, 40) as connection:
        await connection.send(head)
        dripping = asyncio.create_task(_drops(connection, drop))
        with contextlib.suppress(ConnectionError):
            while await connection.reader.read(65536):
                pass
        dripping.cancel()
    return time.monotonic() - began


async def _drops(connection: Wire, drop: bytes) -> None:
    while True:
        await asyncio.sleep(0.5)
        await connection.send(drop)


async def test_a_crowd_and_the_slow_are_cut_while_others_are_served(scene: Scene) -> None:
    """5,000 connections that say nothing and a hundred that drip; the family is answered throughout, and then they are gone."""
    platform = scene.platform
    token = await asyncio.to_thread(platform.token, scene.victim.account.login)
    host = platform.base_url.removeprefix("http://").encode()
    head = b"POST /v1/tokens HTTP/1.1\r\nHost: " + host + b"\r\n"
    dripped = [
        (head + b"X: ", b"a"), (b"GET /", b"a"), (b"\r\n", b"\r\n"), (head + b"Content-Length: 9000\r\n\r\n", b" "),
        (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ]  # fmt: skip
    before, took = memory(platform), list[float]()
    async with crowd(platform, CROWD) as idle:
        slow = [asyncio.create_task(drip(platform, *one)) for one in dripped for _ in range(20)]
        gone = asyncio.gather(*(_end(reader) for reader in idle))
        grown = memory(platform) - before
        while not gone.done():
            began = time.monotonic()
            answer = await exchange(platform, "GET", "/v1/me", {"Authorization": f"Bearer {token}"})
            took.append(time.monotonic() - began)
            assert answer.status == 200
            await asyncio.sleep(0.05)
        assert set(await gone) == {True}
        lasted = await asyncio.gather(*slow)
    assert max(lasted) < 30
    assert len(took) > 20
    assert statistics.median(took) < 0.5
    assert max(took) < 5
    assert grown < 300 * MIB


async def _end(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(30):
            return await reader.read(1) == b""
    except ConnectionError:
        return True


def endless(head: str, piece: bytes) -> Part:
    async def parts() -> AsyncIterator[bytes]:
        yield head.encode()
        while True:
            yield piece

    return parts


POST = "POST /v1/tokens HTTP/1.1\r\nHost: x\r\n"
HEADS = {
    "a target": endless("GET /v1/", b"a" * 0x10000),
    "a header": endless(f"{POST}X: ", b"a" * 0x10000),
    "headers": endless(POST, b"X: y\r\n" * 10_000),
    "cookies": endless(f"{POST}Cookie: ", b"a=b; " * 10_000),
}
BODIES = {
    "trailers": endless(f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 10_000),
    "a chunk's extension": endless(f"{POST}Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 0x10000),
}


async def test_what_has_no_end_is_refused_before_it_is_kept(platform: Platform) -> None:
    """Of up to 64 MiB sent to each, no process keeps more than a little."""
    before, running = memory(platform), processes(platform, "gateway")
    assert {await answered(platform.base_url, parts, 64 * MIB) for parts in BODIES.values()} <= {431, 0}
    await refused([(platform.base_url, parts) for parts in HEADS.values()], 64 * MIB)
    assert memory(platform) - before < 32 * MIB
    assert processes(platform, "gateway") == running


async def test_services_keep_no_endless_head_either(platform: Platform, services: dict[str, str]) -> None:
    """Whoever reaches one around the gateway meets the same bounds."""
    before, running = memory(platform, *services), processes(platform, *services)
    sent = [(address, HEADS[name]) for address in services.values() for name in ("a target", "headers")]
    assert len(sent) >= 8
    await refused(sent, 32 * MIB)
    assert memory(platform, *services) - before < 32 * MIB
    assert processes(platform, *services) == running


async def refused(sent: Sequence[tuple[str, Part]], most: int) -> None:
    """Each of these heads is too much, of who sends up to so many bytes and of who stops just past the bound.

    Who goes on sending may lose the answer with the connection; who stops and listens is told.
    """
    assert {await answered(*one, most) for one in sent} <= {431, 0}
    assert {await answered(*one, HEAD_BYTES) for one in sent} in ({431}, {431, 0})


async def answered(address: str, parts: Part, most: int) -> int:
    """The status of what is sent until it is so much; 0 where the connection ends without an answer."""
    async with wire(address) as connection:
        sending = asyncio.create_task(_send(connection, parts, most))
        answer = await connection.answer()
        await connection.ended()
        sending.cancel()
    return answer.status if answer else 0


async def _send(connection: Wire, parts: Part, most: int) -> None:
    sent = 0
    async for part in parts():
        await connection.send(part)
        sent += len(part)
        if sent > most or connection.writer.is_closing():
            return


def bombs() -> dict[str, bytes]:
    """A hundred MiB of spaces, as small as each way of packing makes them."""
    packed = zlib.compressobj(9, wbits=-15)
    spaces = b" " * MIB
    raw = b"".join(packed.compress(spaces) for _ in range(100)) + packed.flush()
    whole = gzip.compress(spaces * 100, 9)
    return {
        "gzip": whole,
        "deflate": raw,
        "x-gzip": whole,
        "gzip, gzip": gzip.compress(whole),
        "br": whole,
        "zstd": raw,
    }


async def test_nothing_that_is_sent_packed_is_unpacked(scene: Scene) -> None:
    platform, before = scene.platform, memory(scene.platform)
    operator = {"Authorization": f"Bearer {platform.operator_token}", "Content-Type": "application/json"}
    for coding, body in bombs().items():
        for path in ("/v1/tokens", "/v1/people", "/v1/assessments"):
            answer = await exchange(platform, "POST", path, operator | {"Content-Encoding": coding}, body)
            assert 400 <= answer.status < 500, (coding, path)
        form = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": platform.base_url,
            "Content-Encoding": coding,
        }
        assert 400 <= (await exchange(platform, "POST", "/connexion", form, body)).status < 500
    assert memory(platform) - before < 64 * MIB


def multipart(count: int) -> bytes:
    one = b'--b\r\nContent-Disposition: form-data; name="login"; filename="x"\r\n\r\nx\r\n'
    return one * count + b"--b--\r\n"


async def test_forms_and_queries_of_many_parts_are_answered_at_once(scene: Scene) -> None:
    platform = scene.platform
    operator = {"Authorization": f"Bearer {platform.operator_token}"}
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded", "Origin": platform.base_url}
    parts = {"Content-Type": "multipart/form-data; boundary=b", "Origin": platform.base_url}
    endless_name = {"Content-Type": f"multipart/form-data; boundary={'b' * 20_000}", "Origin": platform.base_url}
    requests: list[tuple[str, str, dict[str, str], bytes]] = [
        ("POST", "/connexion", urlencoded, b"a=b&" * 200_000), ("POST", "/connexion", urlencoded, b"=&" * 400_000),
        ("POST", "/connexion", parts, multipart(10_000)), ("POST", "/connexion", endless_name, multipart(10)),
        ("POST", "/connexion", parts, b"--b\r\n" + b"X: y\r\n" * 100_000), ("POST", "/notifications", urlencoded, b"&" * 900_000),
        ("GET", "/v1/feed?" + "limit=1&" * 3500, operator, b""), ("GET", "/?" + "enfant=x&" * 3000, {}, b""),
        ("GET", "/", {"Accept-Language": "fr;q=0.1," * 3000}, b""), ("GET", "/", {"Cookie": "a=b; " * 5000}, b""),
        ("GET", "/v1/me", {"Range": "bytes=" + "0-0," * 5000, **operator}, b""),
        ("GET", "/v1/me", {"X-Forwarded-For": "1.1.1.1, " * 3000, **operator}, b""),
        ("GET", "/v1/stream?cursor=" + "A" * 20_000, operator, b""),
    ]  # fmt: skip
    for method, path, headers, body in requests:
        began = time.monotonic()
        answer = await exchange(platform, method, path, headers, body)
        assert answer.status < 500, (method, path[:40])
        assert time.monotonic() - began < 3, (method, path[:40])
