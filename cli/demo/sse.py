"""Server-sent events as browsers read them, and one open connection to the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from cli.demo.client import Api, ApiProblem

_SILENCE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Event:
    """What one blank line ends; a heartbeat has no name and no data, and `id` is always the latest cursor."""

    name: str
    data: str
    id: str

    @property
    def beat(self) -> bool:
        """Whether it only keeps the connection and the cursor alive."""
        return not self.data


class Parser:
    """Takes bytes as they arrive, gives the events they complete; what a cut leaves unfinished is nothing."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self._rest = b""
        self._id = ""
        self._name = ""
        self._data: list[str] = []
        self._said = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events completed by a chunk."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode("utf-8"))
            if event is not None:
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._end()
        self._said = True
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id":
            self._id = value
        elif field == "retry" and value.isdecimal():
            self.retry_ms = int(value)
        return None

    def _end(self) -> Event | None:
        name, data, said = self._name, "\n".join(self._data), self._said
        self._name, self._data, self._said = "", [], False
        return Event(name if data else "", data, self._id) if said else None


@dataclass(slots=True)
class Connection:
    """An open stream: which gateway worker serves it, and what it says."""

    worker: str
    parser: Parser
    _response: aiohttp.ClientResponse

    async def events(self) -> AsyncIterator[Event]:
        """Events and heartbeats until the connection ends; raises what the network raises."""
        async for chunk in self._response.content.iter_any():
            for event in self.parser.feed(chunk):
                yield event


@asynccontextmanager
async def connect(api: Api, cursor: str | None) -> AsyncIterator[Connection]:
    """Open the stream after a cursor; raises `ApiProblem` when it is refused."""
    headers = {**api.headers, "Accept": "text/event-stream", **({"Last-Event-ID": cursor} if cursor else {})}
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
    async with api.session.get(f"{api.base_url}/v1/stream", headers=headers, timeout=timeout) as response:
        if response.status != 200:
            problem = await response.json(content_type=None)
            raise ApiProblem(response.status, problem if isinstance(problem, dict) else {})
        yield Connection(response.headers.get("Preau-Worker", "?"), Parser(), response)
        # Nothing that arrives after the reader has turned away may keep the connection.
        response.close()
