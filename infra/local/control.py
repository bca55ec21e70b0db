"""How other invocations speak to a running supervisor: one line of JSON each way on a loopback port.

A port and a secret in a private file, not a UNIX socket: the path of a socket may be at most 107 bytes long.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from infra.local.home import Home, read_state, write_private
from infra.local.ports import LOOPBACK

TIMEOUT = 10.0
LINE_LIMIT = 64 * 1024

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def _state_file(home: Home) -> Path:
    return home.run / "supervisor.json"


class ControlServer:
    """Answers those who can read the home's state file."""

    def __init__(self, home: Home, handle: Handler) -> None:
        self._home = home
        self._handle = handle
        self._secret = secrets.token_hex(32)
        self._server: asyncio.Server | None = None

    async def start(self, **facts: object) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, limit=LINE_LIMIT)
        port = self._server.sockets[0].getsockname()[1]
        state = {"pid": os.getpid(), "control": port, "secret": self._secret, **facts}
        write_private(_state_file(self._home), json.dumps(state))

    async def stop(self) -> None:
        _state_file(self._home).unlink(missing_ok=True)
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                request = json.loads(await reader.readline())
                if hmac.compare_digest(str(request.get("secret", "")), self._secret):
                    writer.write(json.dumps(await self._handle(request)).encode() + b"\n")
                    await writer.drain()
        except (TimeoutError, ValueError, AttributeError, OSError):
            pass  # A stranger, or a caller that went away.
        finally:
            writer.close()


def ask(home: Home, command: str, **arguments: object) -> dict[str, Any] | None:
    """Ask the home's supervisor; None when none answers."""
    state = read_state(_state_file(home))
    port, secret = state.get("control"), state.get("secret")
    if not isinstance(port, int):
        return None
    request = json.dumps({"command": command, "secret": secret, **arguments})
    try:
        with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as link, link.makefile("rw") as file:
            file.write(request + "\n")
            file.flush()
            answer = json.loads(file.readline())
    except (OSError, ValueError):
        # A state file that a killed supervisor left behind names a port that is no longer its own.
        return None
    return answer if isinstance(answer, dict) else None
