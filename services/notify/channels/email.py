"""E-mail by SMTP: a bounded number of connections, used again, and what each of the server's answers means."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPResponseException,
)

from services.notify.channels.mail import BadAddress, Sender, message
from services.notify.domain import Outcome, Result
from services.notify.letters import Letter
from services.notify.settings import NotifySettings

_CLOSING = 421
_PERMANENT = 500
_IDLE_SECONDS = 20.0
_REFUSED_SECONDS = 1.0
"""For how long after a connection that failed no other is tried: a hundred letters that wait are no hundred attempts."""
_BROKEN = (SMTPException, OSError, TimeoutError, asyncio.IncompleteReadError)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Line:
    """One connection to the server: how many messages went over it, when it was last used."""

    smtp: SMTP
    sent: int = 0
    used: float = 0.0


class _Refused(Exception):
    """There is no connection to be had; `why` is a code."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


BEGIN_SECONDS = 1.0
"""How long after its claim a message may begin to leave; later it is claimed anew."""


class Email:
    """The channel `email`."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._sender = Sender(settings.sender_address, settings.sender_name, settings.public_url)
        self._slots = asyncio.Semaphore(settings.smtp_connections)
        self._idle: list[_Line] = []
        self._refused: tuple[float, str] | None = None
        """When a connection failed last, and why."""
        # Made once: reading the authorities takes longer than the handshake.
        self._trust = ssl.create_default_context(cafile=settings.smtp_ca_file) if settings.smtp_tls != "none" else None

    async def send(self, batch: Sequence[Letter]) -> list[Outcome]:
        """Send a batch, as many at a time as there are connections.

        What a slow server keeps waiting is not begun: the rights to it were judged when the batch was claimed.
        """
        deadline = asyncio.get_running_loop().time() + BEGIN_SECONDS
        return list(await asyncio.gather(*(self._one(letter, deadline) for letter in batch)))

    async def close(self) -> None:
        """Say goodbye on the connections that are open."""
        while self._idle:
            await _end(self._idle.pop(), politely=True)

    async def _one(self, letter: Letter, deadline: float) -> Outcome:
        async with self._slots:
            if asyncio.get_running_loop().time() > deadline:
                return Outcome(letter.message, Result.NOT_BEGUN)
            # Made within its slot: it costs milliseconds, in which those before it are on their way.
            try:
                content = message(letter, self._sender).as_bytes()
            except BadAddress:
                return Outcome(letter.message, Result.REFUSED, "bad-address")
            except Exception:
                # One letter that can't be put together is no reason to keep the others.
                _log.exception("message not made", extra={"number": letter.message})
                return Outcome(letter.message, Result.REFUSED, "not-made")
            return await self._through(letter, content)

    async def _through(self, letter: Letter, content: bytes) -> Outcome:
        """Send over a connection; one that died of idleness is replaced once."""
        while True:
            try:
                line, fresh = await self._line()
            except _Refused as error:
                return Outcome(letter.message, Result.AGAIN, error.why)
            outcome = await self._attempt(line, letter, content)
            if outcome is not None or fresh:
                return outcome or Outcome(letter.message, Result.AGAIN, "connection-lost")

    async def _attempt(self, line: _Line, letter: Letter, content: bytes) -> Outcome | None:
        """One mail transaction; None where the connection was lost before anything could have been accepted."""
        begun = False
        try:
            try:
                await line.smtp.mail(self._sender.address)
            except SMTPResponseException as error:
                # What the server has against the sender is no fault of this letter's.
                await self._reset(line, error.code)
                return Outcome(letter.message, Result.AGAIN, f"sender-{error.code}")
            await line.smtp.rcpt(letter.address)
            begun = True
            await line.smtp.data(content)
        except SMTPResponseException as error:
            await self._reset(line, error.code)
            refused = error.code >= _PERMANENT
            return Outcome(letter.message, Result.REFUSED if refused else Result.AGAIN, f"smtp-{error.code}")
        except asyncio.CancelledError:
            line.smtp.close()
            raise
        except Exception as error:
            _log.info("connection lost", extra={"cause": type(error).__name__, "begun": begun})
            await _end(line)
            return Outcome(letter.message, Result.UNKNOWN, "connection-lost") if begun else None
        line.sent += 1
        await self._keep(line)
        return Outcome(letter.message, Result.SENT)

    async def _line(self) -> tuple[_Line, bool]:
        """A connection, and whether it is new; raises `_Refused`."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            line = self._idle.pop()
            if line.smtp.is_connected and now - line.used < _IDLE_SECONDS:
                return line, False
            await _end(line)
        if self._refused is not None and now - self._refused[0] < _REFUSED_SECONDS:
            raise _Refused(self._refused[1])
        try:
            return _Line(await self._connect()), True
        except (_Refused, *_BROKEN) as error:
            why = error.why if isinstance(error, _Refused) else _why(error)
            self._refused = asyncio.get_running_loop().time(), why
            _log.warning("no connection to the mail server", extra={"why": why, "cause": type(error).__name__})
            raise _Refused(why) from error

    async def _connect(self) -> SMTP:
        settings = self._settings
        secret = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        smtp = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            local_hostname=self._sender.domain,
            timeout=settings.smtp_seconds,
            use_tls=settings.smtp_tls == "tls",
            start_tls=False,
            tls_context=self._trust,
        )
        try:
            await smtp.connect()
            await smtp.ehlo()
            if settings.smtp_tls == "starttls":
                # Asked for by name, since the library's error for its lack is one like any other.
                if not smtp.supports_extension("starttls"):
                    raise _Refused("no-tls")
                await smtp.starttls()
                await smtp.ehlo()
            if settings.smtp_user and secret:
                await smtp.login(settings.smtp_user, secret)
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _reset(self, line: _Line, code: int) -> None:
        """Keep a connection after a refusal, unless the server is closing it."""
        if code == _CLOSING:
            await _end(line)
            return
        try:
            await line.smtp.rset()
        except _BROKEN:
            await _end(line)
            return
        await self._keep(line)

    async def _keep(self, line: _Line) -> None:
        if line.sent >= self._settings.smtp_connection_messages:
            await _end(line, politely=True)
            return
        line.used = asyncio.get_running_loop().time()
        self._idle.append(line)


def _why(error: BaseException) -> str:
    """What kept a connection from being made, as a code."""
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "certificate"
    if isinstance(error, SMTPResponseException):
        kinds = {SMTPAuthenticationError: "sign-in", SMTPConnectResponseError: "smtp"}
        return f"{kinds.get(type(error), 'greeting')}-{error.code}"
    return "not-reached"


async def _end(line: _Line, *, politely: bool = False) -> None:
    if politely:
        with contextlib.suppress(*_BROKEN):
            await line.smtp.quit(timeout=1)
    line.smtp.close()
