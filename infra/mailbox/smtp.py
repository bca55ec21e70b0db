"""E-mail in: an SMTP server that takes whatever a sender may say and keeps it before it says yes.

Some recipients are refused, so that what a sender does about refusals can be seen: `bounce@…` for good (550), `tempfail@…`
for now (451), `tempfail+3@…` three times and then no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
from collections import OrderedDict
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from chassis import telemetry
from chassis.process import listen
from infra.mailbox.settings import MailboxSettings
from infra.mailbox.store import MessageStore

_log = logging.getLogger(__name__)
_messages = telemetry.meter.create_counter("preau_mailbox_messages", description="E-mails taken in")
_refusals = telemetry.meter.create_counter("preau_mailbox_refusals", description="E-mails refused, by status")
_UNWELCOME = re.compile(r"^(?P<how>bounce|tempfail)(?:\+(?P<times>\d{1,3}))?@", re.IGNORECASE)
_REMEMBERED = 1000
_SLACK = 1024 * 1024
"""Bytes a sender may send beside a message: commands, and what is over the limit before it is told so."""


class Refusals:
    """Which recipients are refused, by their address."""

    def __init__(self) -> None:
        self._tried: OrderedDict[str, int] = OrderedDict()

    def of(self, address: str) -> str | None:
        """The refusal of a recipient; None for a welcome one."""
        found = _UNWELCOME.match(address)
        if found is None:
            return None
        if found["how"].lower() == "bounce":
            return "550 5.1.1 No such recipient"
        if found["times"] is not None and not self._still(address.lower(), int(found["times"])):
            return None
        return "451 4.3.0 Try again"

    def _still(self, address: str, times: int) -> bool:
        tried = self._tried.pop(address, 0) + 1
        if tried > times:
            return False
        self._tried[address] = tried
        if len(self._tried) > _REMEMBERED:
            self._tried.popitem(last=False)
        return True


class Intake:
    """What the server asks: may this recipient be written to, and keep this message."""

    def __init__(self, store: MessageStore, recipients: int) -> None:
        self._store = store
        self._recipients = recipients
        self._refusals = Refusals()

    async def handle_MAIL(
        self, connection: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Begin a message."""
        assert isinstance(connection, Connection)
        connection.begin_message()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        """Take a recipient, or refuse it."""
        refusal = self._refusals.of(address)
        if refusal is None and len(envelope.rcpt_tos) >= self._recipients:
            refusal = "452 4.5.3 Too many recipients"
        if refusal is not None:
            _refusals.add(1, {"status": refusal[:3]})
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        """Keep a message; it is on the disk when the sender hears of it."""
        assert isinstance(envelope.content, bytes)
        try:
            kept = await self._store.add(
                _sound(envelope.mail_from or ""), [_sound(a) for a in envelope.rcpt_tos], envelope.content
            )
        except (sqlite3.Error, OSError) as error:
            _log.error("message not kept", extra={"cause": type(error).__name__})
            _refusals.add(1, {"status": "451"})
            return "451 4.3.0 The message could not be kept"
        _messages.add(1)
        return f"250 2.0.0 Kept as {kept}"

    async def handle_exception(self, error: Exception) -> str:
        """A defect of ours: the sender may try again, and the log tells no more than its kind."""
        _log.error("SMTP session failed", extra={"cause": type(error).__name__})
        return "451 4.3.0 Something went wrong on our side"


def _sound(address: str) -> str:
    """An address that a database takes: bytes that are no UTF-8 come as lone surrogates."""
    return address.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Door:
    """Who is connected, up to a bound."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: set[Connection] = set()
        telemetry.gauge("preau_mailbox_connections", "Senders connected", lambda: len(self._inside))

    def enter(self, connection: Connection) -> bool:
        """Let a sender in; false when there is no room."""
        if len(self._inside) >= self._most:
            return False
        self._inside.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """A sender has gone."""
        self._inside.discard(connection)

    async def clear(self) -> None:
        """Send everybody away."""
        for connection in list(self._inside):
            connection.hang_up()
        # The server's own task of a connection ends in a later turn of the loop.
        await asyncio.sleep(0)


class Connection(SMTP):
    """One sender's connection, held to its bounds."""

    def __init__(self, door: Door, intake: Intake, settings: MailboxSettings) -> None:
        super().__init__(
            intake,
            hostname="preau-mailbox",
            ident="ESMTP",
            data_size_limit=settings.mailbox_message_bytes,
            enable_SMTPUTF8=True,
            timeout=settings.mailbox_seconds,
            command_call_limit={"*": 20_000},
        )
        self._door = door
        self._most = settings.mailbox_message_bytes * 2 + _SLACK
        self._received = 0
        self._wire: asyncio.Transport | None = None
        self._welcome = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the sender in, or say that there is no room."""
        # uvloop's transports are no subclass of asyncio's.
        wire = self._wire = cast(asyncio.Transport, transport)
        self._welcome = self._door.enter(self)
        if self._welcome:
            super().connection_made(transport)
            return
        _refusals.add(1, {"status": "421"})
        wire.write(b"421 4.7.0 Too many connections\r\n")
        wire.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The sender has gone."""
        self._door.leave(self)
        if self._welcome:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, up to a bound: the library holds a line without an end however long it gets."""
        if not self._welcome:
            return
        self._received += len(data)
        if self._received > self._most:
            self.hang_up()
            return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """The sender says no more."""
        return super().eof_received() if self._welcome else None

    def begin_message(self) -> None:
        """Count the bytes of another message."""
        self._received = 0

    def hang_up(self) -> None:
        """End the connection at once."""
        if self._wire is not None:
            self._wire.abort()


class SmtpServer:
    """Listens for senders."""

    def __init__(self, settings: MailboxSettings, store: MessageStore) -> None:
        self._settings = settings
        self._intake = Intake(store, settings.mailbox_recipients)
        self._door = Door(settings.mailbox_connections)
        self._server: asyncio.Server | None = None
        # The library logs who writes to whom.
        logging.getLogger("mail").setLevel(logging.CRITICAL)

    @property
    def port(self) -> int:
        """Where senders connect."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to listen."""
        sock = listen(self._settings.mailbox_smtp_host, self._settings.mailbox_smtp_port)
        make: Any = lambda: Connection(self._door, self._intake, self._settings)  # noqa: E731 - a factory of protocols
        self._server = await asyncio.get_running_loop().create_server(make, sock=sock)

    async def stop(self) -> None:
        """Listen no more; senders try again later."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await self._door.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1)
