"""The floor of the stream: a bare uvloop protocol that writes ready bytes to every connection, or to the one they are for.

`python -m bench.floors.stream` with the settings in the environment. A connection names itself in its request; a record
without a key goes to all, one with a key to the connection of that name, one with the key `missed` to all who come from
then on. No rights, no cursors, no bounds.
"""

from __future__ import annotations

import asyncio
import os
import re

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.machine import open_files

TOPIC = "bench.floor.stream"
MISSED = b"missed"
_NAME = re.compile(rb"Bearer (\S+)")
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_BACKLOG = 4096
_FILES = 12_000


class Connection(asyncio.Protocol):
    """A socket and its name."""

    open: dict[bytes, asyncio.WriteTransport] = {}
    missed = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._name = b""

    def data_received(self, data: bytes) -> None:
        """Answer with the head; frames follow."""
        found = _NAME.search(data)
        if found:
            self._name = found[1]
            self.open[self._name] = self._transport
            self._transport.write(_HEAD + self.missed)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget it."""
        if self.open.get(self._name) is self._transport:
            del self.open[self._name]


async def serve() -> None:
    """Serve for ever."""
    open_files(_FILES)
    loop = asyncio.get_running_loop()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["FLOOR_KAFKA"], enable_auto_commit=False, auto_offset_reset="latest"
    )
    await consumer.start()
    place = TopicPartition(TOPIC, 0)
    consumer.assign([place])
    await consumer.position(place)
    await loop.create_server(Connection, "127.0.0.1", int(os.environ["FLOOR_PORT"]), backlog=_BACKLOG)
    while True:
        for record in (await consumer.getmany(timeout_ms=1000)).get(place, ()):
            _write(record.key, record.value)


def _write(key: bytes, ready: bytes) -> None:
    if key == MISSED:
        Connection.missed = ready
    elif key:
        Connection.open[key].write(ready)
    else:
        for transport in Connection.open.values():
            transport.write(ready)


if __name__ == "__main__":
    uvloop.run(serve())
