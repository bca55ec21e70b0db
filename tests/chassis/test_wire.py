"""One connection held to bounds, over a real socket: what has no end is cut, what is slow is cut, others are served."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn

from chassis.process import listen
from chassis.wire import HEAD_BYTES, MOST_HEADERS, BoundedProtocol, Bounds, misframed

BOUNDS = Bounds(connections=20, header_seconds=0.4, reader_seconds=0.4)
SOUND = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 8 * 1024 * 1024
HEARD = asyncio.Event()
Sent = Callable[[], AsyncIterator[bytes]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once on `/early`, with much on `/large`, else when the whole body is there, with its headers.

    The body of `/late` follows the head once somebody has that.
    """
    if scope["path"] != "/early":
        while (await receive()).get("more_body"):
            pass
    body = b"x" * LARGE if scope["path"] == "/large" else repr(scope["headers"]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/late":
        await HEARD.wait()
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0)
    http: Any = partial(BoundedProtocol, bounds=BOUNDS)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", http=http, ws="none"))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.01)
    yield sock.getsockname()[1]
    server.should_exit = server.force_exit = True
    await task
    sock.close()


async def told(port: int, sent: Sent, *, most: int = 2 * LARGE) -> tuple[bytes, int]:
    """Send until the connection ends; what was answered, and how many bytes were sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0

    async def feed() -> None:
        nonlocal count
        async for data in sent():
            writer.write(data)
            await writer.drain()
            count += len(data)
            if count > most:
                return

    feeding, got = asyncio.create_task(feed()), b""
    try:
        async with asyncio.timeout(10):
            while data := await reader.read(65536):
                got += data
    except ConnectionError:
        pass
    finally:
        feeding.cancel()
        writer.transport.abort()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await feeding
    return got, count


def endless(head: bytes, piece: bytes) -> Sent:
    async def sent() -> AsyncIterator[bytes]:
        yield head
        while True:
            yield piece

    return sent


def dripping(head: bytes, drop: bytes) -> Sent:
    async def sent() -> AsyncIterator[bytes]:
        yield head
        while True:
            await asyncio.sleep(0.05)
            yield drop

    return sent


ENDLESS = {
    "a target": endless(b"GET /", b"a" * 4096),
    "a header's value": endless(POST + b"X: ", b"a" * 4096),
    "a header's name": endless(POST, b"a" * 4096),
    "headers": endless(POST, b"X: y\r\n" * 500),
    "empty lines": endless(b"", b"\r\n" * 2000),
    "a chunk's extension": endless(CHUNKED + b"1;", b"a" * 4096),
    "a trailer": endless(CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"a" * 4096),
    "trailers": endless(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 500),
}


@pytest.mark.parametrize("sent", ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_has_no_end_is_cut_before_it_is_kept(sent: Sent) -> None:
    async with served() as port:
        answered, count = await told(port, sent)
    # What stands in the sockets' buffers beyond the bound was sent, and read by nobody.
    assert count < LARGE
    assert answered[:12] in (b"HTTP/1.1 431", b"")


SLOW = {
    "nothing at all": dripping(b"", b""),
    "a request line": dripping(b"G", b"E"),
    "a header": dripping(POST + b"X: ", b"a"),
    "empty lines after an answer": dripping(SOUND, b"\r\n"),
    "a body nobody waits for any more": dripping(
        POST.replace(b" / ", b" /early ") + b"Content-Length: 1000\r\n\r\n", b"x"
    ),
    "chunks nobody waits for any more": dripping(CHUNKED.replace(b" / ", b" /early "), b"1\r\nx\r\n"),
}


async def test_what_drips_is_cut_in_bounded_time() -> None:
    began = time.monotonic()
    async with served() as port:
        await asyncio.gather(*(told(port, sent) for sent in SLOW.values()))
    assert time.monotonic() - began < 5


async def test_a_client_that_never_reads_is_cut() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(SOUND.replace(b" / ", b" /large ") * 5)
        await writer.drain()
        async with asyncio.timeout(5):
            while True:
                # A connection that was cut does not take bytes for long.
                try:
                    writer.write(b"\r\n")
                    await writer.drain()
                except ConnectionError:
                    break
                if writer.transport.is_closing():
                    break
                await asyncio.sleep(0.05)
        writer.transport.abort()


async def test_a_trailer_is_no_header() -> None:
    trailed = (
        CHUNKED
        + b"1\r\nx\r\n0\r\nAuthorization: Bearer other\r\n\r\n"
        + SOUND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )

    async def sent() -> AsyncIterator[bytes]:
        yield trailed

    async with served() as port:
        answered, _ = await told(port, sent)
    assert answered.count(b"200 OK") == 2
    assert b"uthorization" not in answered


async def test_a_head_whose_body_is_late_does_not_wait_for_it_and_answers_keep_their_order() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            for path in (b"/late", b"/"):
                HEARD.clear()
                writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + SOUND.replace(b" / ", b" %b " % path))
                heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(2)]
                HEARD.set()
                length = int(heads[1].partition(b"content-length: ")[2].split(b"\r\n")[0])
                assert (await reader.readexactly(length)).startswith(b"[(b'host'")
        writer.close()


async def test_of_too_many_connections_the_last_are_cut_and_the_first_go_on() -> None:
    async with served() as port:
        first = await asyncio.open_connection("127.0.0.1", port)
        first[1].write(SOUND)
        assert await first[0].readline() == b"HTTP/1.1 200 OK\r\n"
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(BOUNDS.connections + 10)]
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await others[-1][0].read(1) == b""
        first[1].write(SOUND)
        await first[0].readuntil(b"200 OK")
        for _, writer in (first, *others):
            writer.transport.abort()


@pytest.mark.parametrize(("count", "passes"), [(1, True), (MOST_HEADERS - 2, True), (MOST_HEADERS - 1, False)])
async def test_a_head_passes_up_to_its_bounds(count: int, passes: bool) -> None:
    value = b"a" * ((HEAD_BYTES - 4096) // count)

    async def sent() -> AsyncIterator[bytes]:
        yield (
            SOUND[:-2]
            + b"Connection: close\r\n"
            + b"".join(b"X-%d: %b\r\n" % (n, value) for n in range(count))
            + b"\r\n"
        )

    async with served() as port:
        answered, _ = await told(port, sent)
    assert answered[:12] == (b"HTTP/1.1 200" if passes else b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("headers", "version", "sound"),
    [
        ([(b"host", b"x")], "1.1", True),
        ([], "1.0", True),
        ([], "1.1", False),
        ([(b"host", b"x"), (b"host", b"x")], "1.1", False),
        ([(b"host", b"x"), (b"transfer-encoding", b"Chunked ")], "1.1", True),
        ([(b"host", b"x"), (b"transfer-encoding", b"gzip, chunked")], "1.1", False),
        ([(b"host", b"x"), (b"transfer-encoding", b"chunked")], "1.0", False),
        ([(b"host", b"x")], "2.0", False),
    ],
)
def test_a_request_is_clear_about_where_it_goes_and_ends(
    headers: list[tuple[bytes, bytes]], version: str, sound: bool
) -> None:
    assert (misframed(headers, version) is None) == sound
