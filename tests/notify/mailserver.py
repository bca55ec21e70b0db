"""A real SMTP server in the test's own loop, which can refuse, hang or hang up, by recipient."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

ACCEPT, SLOW, HANG, HANG_UP, LAST_WORD = "250 accepted", "slow", "hang", "hang up", "250 and hang up"
"""What is done with a message; other texts are answered as they are. `SLOW` accepts after 0.3 s, `HANG_UP` accepts and closes
without a word, `LAST_WORD` closes after the answer."""


@dataclass
class MailServer:
    """What was accepted, in order, and how recipients are treated."""

    port: int = 0
    accepted: list[EmailMessage] = field(default_factory=list)
    behaviour: dict[str, list[str]] = field(default_factory=dict)
    """By recipient: what is done with the next messages, one after another; then they are accepted."""
    connections: int = 0
    most_connections: int = 0
    on_accepted: Callable[[EmailMessage], None] = lambda _message: None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    in_clear: bytearray = field(default_factory=bytearray)
    """All that was said to it on connections not encrypted, or not yet."""
    logins: list[str] = field(default_factory=list)
    """Who tried to sign in."""

    def to(self, address: str) -> list[EmailMessage]:
        """What was accepted for a recipient."""
        return [one for one in self.accepted if one["To"] == address]

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until what was accepted is as wanted."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Do what was said of the recipient."""
        (recipient,) = envelope.rcpt_tos
        todo = self.behaviour.get(recipient) or [ACCEPT]
        what = todo.pop(0)
        if what == HANG:
            await asyncio.sleep(60)
        if what == SLOW:
            await asyncio.sleep(0.3)
        if what not in (ACCEPT, SLOW, HANG_UP, LAST_WORD):
            return what
        message = email.message_from_bytes(envelope.content, policy=POLICY)
        assert isinstance(message, EmailMessage)
        self.accepted.append(message)
        self.arrived.set()
        self.on_accepted(message)
        if what == HANG_UP:
            server.transport.abort()
        if what == LAST_WORD:
            asyncio.get_running_loop().call_soon(server.transport.close)
        return ACCEPT


class _Counted(SMTP):
    """A connection that notes what happens to it."""

    def __init__(self, found: MailServer, **options: Any) -> None:
        super().__init__(found, hostname="mail.test", loop=asyncio.get_running_loop(), **options)
        self._found = found

    def connection_made(self, transport: Any) -> None:
        if self._original_transport is None:
            self._found.connections += 1
            self._found.most_connections = max(self._found.most_connections, self._found.connections)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.transport is not None and self.transport.get_extra_info("sslcontext") is None:
            self._found.in_clear += data
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._found.connections -= 1
        super().connection_lost(error)


def _sign_in(found: MailServer, account: tuple[str, str], *, tls: bool) -> dict[str, Any]:
    """Let nobody else send. The library knows of STARTTLS alone: what is encrypted at once it takes for clear."""

    def check(
        _server: object, _session: object, _envelope: object, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        login, password = given.login.decode(), given.password.decode()
        found.logins.append(login)
        return AuthResult(success=(login, password) == account, handled=False)

    return {"authenticator": check, "auth_required": not tls, "auth_require_tls": not tls}


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, account: tuple[str, str] | None = None
) -> AsyncIterator[MailServer]:
    """A server on a free port of the loopback; with STARTTLS nobody sends before it, with an `account` nobody else."""
    found = MailServer()
    protocols: list[SMTP] = []
    options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
    if account is not None:
        options |= _sign_in(found, account, tls=tls is not None)

    def protocol() -> SMTP:
        protocols.append(_Counted(found, **options))
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for one in protocols:
            if isinstance(one.transport, asyncio.Transport):
                one.transport.abort()
        await asyncio.sleep(0)
