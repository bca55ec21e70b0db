"""Calls inward against servers that answer byte by byte what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from services.gateway.inward import BrokenOff, Place, Unreachable, Unreadable

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Takes connections; each is served by the script of its number, the last script serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self._scripts = scripts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def head(self, reader: asyncio.StreamReader) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))


@asynccontextmanager
async def listening(*scripts: Callable[[Server], Script]) -> AsyncIterator[tuple[Server, Place]]:
    server = Server()
    server._scripts = tuple(script(server) for script in scripts)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    place = Place(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/base/")
    yield server, place
    place.close()
    listener.close()


def always(*answers: bytes, pause: float = 0.0) -> Callable[[Server], Script]:
    """Answer every request of a connection with these bytes, written apart from one another."""

    def of(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await server.head(reader)
                for one in answers:
                    writer.write(one)
                    await writer.drain()
                    await asyncio.sleep(pause)

        return script

    return of


def once(answer: bytes) -> Callable[[Server], Script]:
    """Answer one request and hang up."""

    def of(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.head(reader)
            writer.write(answer)
            await writer.drain()

        return script

    return of


async def got(place: Place, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    answer = await place.ask(method, "/x", [("x-b", "2")], body)
    try:
        return answer.status, await answer.read()
    finally:
        place.give_back(answer)


async def test_a_request_is_written_whole_and_its_connection_kept() -> None:
    async with listening(always(WHOLE)) as (server, place):
        assert [await got(place) for _ in range(3)] == [(200, b"hello")] * 3
        assert server.connections == 1
        assert server.heads[0].startswith(b"GET /base/x HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nx-b: 2\r\n" in server.heads[0]
        assert b"content-length" not in server.heads[0].lower()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_write_without_a_body_says_so(method: str) -> None:
    async with listening(always(WHOLE)) as (server, place):
        await got(place, method)
        assert b"\r\nContent-Length: 0\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("answer", "expected", "kept"),
    [
        ([WHOLE[n : n + 1] for n in range(len(WHOLE))], (200, b"hello"), True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"], (200, b"hello"), True),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], (204, b""), True),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", WHOLE], (200, b"hello"), True),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"], (200, b"ok"), False),
    ],
)  # fmt: skip
async def test_answers_of_every_shape_are_read(
    answer: Sequence[bytes], expected: tuple[int, bytes], kept: bool
) -> None:
    async with listening(always(*answer)) as (server, place):
        assert [await got(place), await got(place)] == [expected, expected]
        assert server.connections == (1 if kept else 2)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with listening(once(b"HTTP/1.1 200 OK\r\n\r\nhello")) as (_, place):
        assert await got(place) == (200, b"hello")


async def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    async with listening(always(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")) as (_, place):
        assert await got(place, "HEAD") == (200, b"")


async def test_a_kept_connection_that_was_closed_is_not_used_again() -> None:
    async with listening(once(WHOLE), always(WHOLE)) as (server, place):
        await got(place)
        async with asyncio.timeout(5):
            while place._idle[-1].open:  # noqa: ASYNC110 - the loop tells nobody of it
                await asyncio.sleep(0.001)
        assert await got(place, "POST", b"{}") == (200, b"hello")
        assert server.connections == 2


def hanging_up_on_the_second(server: Server) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(WHOLE)
        await server.head(reader)

    return script


async def test_a_read_whose_kept_connection_breaks_off_is_sent_again() -> None:
    async with listening(hanging_up_on_the_second, always(WHOLE)) as (server, place):
        assert [await got(place), await got(place)] == [(200, b"hello")] * 2
        assert server.connections == 2


async def test_a_write_whose_kept_connection_breaks_off_is_not_sent_again() -> None:
    async with listening(hanging_up_on_the_second, always(WHOLE)) as (server, place):
        await got(place)
        with pytest.raises(BrokenOff):
            await got(place, "POST", b"")
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        WHOLE[:-2],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ],
)
async def test_an_answer_cut_short_is_told_as_such(answer: bytes) -> None:
    async with listening(once(answer)) as (_, place):
        with pytest.raises(BrokenOff):
            await got(place)
        assert not place._idle


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"])
async def test_what_is_no_answer_is_not_read(answer: bytes) -> None:
    async with listening(once(answer)) as (_, place):
        with pytest.raises(Unreadable):
            await got(place)


async def test_an_answer_nobody_asked_for_is_nobodys() -> None:
    async with listening(always(WHOLE + WHOLE), always(WHOLE)) as (server, place):
        assert await got(place) == (200, b"hello")
        assert await got(place) == (200, b"hello")
        assert server.connections == 2


async def test_nobody_listening() -> None:
    async with listening(always(WHOLE)) as (_, place):
        pass
    with pytest.raises(Unreachable):
        await got(place)


async def test_a_header_of_two_lines_is_not_sent() -> None:
    async with listening(always(WHOLE)) as (server, place):
        for value in ("a\r\nX-Evil: 1", "a\nb", "a\rb"):
            with pytest.raises(Unreadable):
                await place.ask("GET", "/x", [("x-b", value)], None)
        assert server.connections == 0


async def test_a_reader_who_takes_nothing_holds_the_service_back() -> None:
    body = b"x" * 8_000_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    sent = asyncio.Event()

    def of(server: Server) -> Script:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.head(reader)
            writer.transport.set_write_buffer_limits(high=1)
            writer.write(head + body)
            await writer.drain()
            sent.set()
            await reader.read()

        return script

    async with listening(of) as (_, place):
        answer = await place.ask("GET", "/x", [], None)
        async with asyncio.timeout(5):
            while not answer._paused:  # noqa: ASYNC110 - the loop tells nobody of it
                await asyncio.sleep(0.001)
        assert not sent.is_set()
        assert answer._unread < 1_000_000
        assert await answer.read() == body
        assert sent.is_set() or await asyncio.wait_for(sent.wait(), 5)
        place.give_back(answer)
