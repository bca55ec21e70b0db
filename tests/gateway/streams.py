"""A client of the stream as a browser is one, over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Message:
    """One event as a browser dispatches it."""

    name: str
    data: str
    id: str


class Client:
    """Reads one open stream; remembers the last id and the retry time as the standard says."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.retry = 0
        self.beats = 0
        self.ended = False

    async def next(self, seconds: float = 10) -> Message:
        """The next event; raises EOFError at an orderly end."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self._block()
                if found is not None:
                    return found

    async def _block(self) -> Message | None:
        name, data = "message", []
        while line := (await self._line()):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                self.last_id = value
            elif key == "retry":
                self.retry = int(value)
            elif not key:
                self.beats += 1
        return Message(name, "\n".join(data), self.last_id) if data else None

    async def _line(self) -> str:
        line = await self.response.content.readline()
        if not line:
            self.ended = True
            raise EOFError
        return line.decode().removesuffix("\n")

    async def first_id(self) -> str:
        """Wait until the stream has told where it is."""
        async with asyncio.timeout(10):
            while not self.last_id:
                assert await self._block() is None
        return self.last_id

    async def until_end(self) -> None:
        """Read until the server ends the stream."""
        with contextlib.suppress(EOFError):
            while True:
                await self.next()


@asynccontextmanager
async def stream(
    http: aiohttp.ClientSession, url: str, token: str, *, last_id: str = "", cursor: str = ""
) -> AsyncIterator[Client]:
    """An open stream."""
    headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last_id} if last_id else {})
    async with http.get(f"{url}/v1/stream", headers=headers, params={"cursor": cursor} if cursor else None) as response:
        assert response.status == 200, await response.text()
        yield Client(response)
