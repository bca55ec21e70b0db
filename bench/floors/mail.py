"""The floor of a mail channel: ready bytes over a few plain connections, one message after the other on each.

python -m bench.floors.mail PORT MESSAGES CONNECTIONS FILE: prints the seconds it took.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import uvloop

from infra.local.ports import LOOPBACK


async def _ask(reader: StreamReader, writer: StreamWriter, command: bytes) -> None:
    writer.write(command)
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if line[:1] not in (b"2", b"3"):
        raise RuntimeError(f"{command[:40]!r}: {line!r}")


async def _connection(port: int, content: bytes, number: int, messages: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    await reader.readline()
    await _ask(reader, writer, b"EHLO floor\r\n")
    for n in range(messages):
        await _ask(reader, writer, b"MAIL FROM:<a@preau.exemple.fr>\r\n")
        await _ask(reader, writer, b"RCPT TO:<floor%d-%d@exemple.fr>\r\n" % (number, n))
        await _ask(reader, writer, b"DATA\r\n")
        await _ask(reader, writer, content + b"\r\n.\r\n")
    writer.close()


async def send(port: int, messages: int, connections: int, content: bytes) -> float:
    """Send as many messages over each connection; returns seconds."""
    began = time.perf_counter()
    each = messages // connections
    await asyncio.gather(*(_connection(port, content, number, each) for number in range(connections)))
    return time.perf_counter() - began


if __name__ == "__main__":
    port, messages, connections, file = sys.argv[1:]
    print(uvloop.run(send(int(port), int(messages), int(connections), Path(file).read_bytes())))
