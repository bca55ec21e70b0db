"""Who presents which session or token: looked up once, known for a moment, forgotten as soon as it is revoked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from chassis.database import UNREACHABLE, Database
from services.gateway import store
from services.gateway.domain import Kind, Principal, digest, presented
from services.gateway.gathering import Gathering

RECHECK_SECONDS = 30.0
_KNOWN = 50_000
_REVOKED = 20_000
_LONGEST_SECRET = 200
_log = logging.getLogger(__name__)


class Authenticator:
    """Sessions and tokens as this process knows them; `on_revoked` is called with each that ends."""

    def __init__(self, database: Database) -> None:
        self.on_revoked: Callable[[UUID], None] = lambda _: None
        self._database = database
        self._principals = Gathering(self._look_up)
        self._known: OrderedDict[tuple[Kind, bytes], tuple[float, Principal]] = OrderedDict()
        self._secrets: dict[UUID, tuple[Kind, bytes]] = {}
        self._revoked: OrderedDict[UUID, None] = OrderedDict()

    async def principal(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Whose request these headers make it; None for nobody's. Raises what the database raises."""
        found = presented(headers)
        if found is None or len(found[1]) > _LONGEST_SECRET:
            return None
        kind, secret = found
        name = (kind, digest(secret))
        known = self._known.get(name)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        principal = await self._principals.of(name[1])
        # It may have been revoked between the statement and here.
        if principal is None or principal.kind is not kind or principal.credential in self._revoked:
            self._known.pop(name, None)
            return None
        self._remember(name, principal)
        return principal

    async def _look_up(self, digests: Sequence[bytes]) -> dict[bytes, Principal | None]:
        async with self._database.connection() as connection:
            found = await store.principals(connection, digests)
        return {digest: found.get(digest) for digest in digests}

    def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Whose request it is as far as this process knows without asking the database."""
        found = presented(headers)
        if found is None or len(found[1]) > _LONGEST_SECRET:
            return None
        known = self._known.get((found[0], digest(found[1])))
        return None if known is None else known[1]

    def _remember(self, name: tuple[Kind, bytes], principal: Principal) -> None:
        # When it ends the database tells: this process's own clock may be wrong.
        self._known[name] = (time.monotonic() + min(RECHECK_SECONDS, principal.lasts), principal)
        self._known.move_to_end(name)
        self._secrets[principal.credential] = name
        if len(self._known) > _KNOWN:
            _, (_, oldest) = self._known.popitem(last=False)
            self._secrets.pop(oldest.credential, None)

    def revoked(self, credential: UUID) -> bool:
        """Whether this session or token was revoked a moment ago."""
        return credential in self._revoked

    def forget(self, credential: UUID) -> None:
        """Take note that a session or token has ended."""
        self._revoked[credential] = None
        if len(self._revoked) > _REVOKED:
            self._revoked.popitem(last=False)
        name = self._secrets.pop(credential, None)
        if name is not None:
            self._known.pop(name, None)
        self.on_revoked(credential)

    async def listen(self, url: str, watched: Callable[[], Iterable[UUID]]) -> None:
        """Hear of revocations for ever, on a connection that goes through no pooler; re-check now and then."""
        while True:
            try:
                await self._listen_once(url, watched)
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                _log.warning("not hearing of revocations", extra={"cause": type(error).__name__})
            await asyncio.sleep(1)

    async def _listen_once(self, url: str, watched: Callable[[], Iterable[UUID]]) -> None:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
        try:
            # Nothing else is said on this connection for half a minute: its end must be noticed by itself.
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(store.REVOKED_CHANNEL, self._heard)
            while not gone.is_set():
                # At once too: what was revoked while nobody listened is heard of by asking.
                await self._recheck(connection, set(watched()) | set(self._secrets))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RECHECK_SECONDS):
                        await gone.wait()
        finally:
            connection.terminate()

    def _heard(self, _: Any, __: int, ___: str, payload: object) -> None:
        self.forget(UUID(str(payload)))

    async def _recheck(self, connection: Any, credentials: set[UUID]) -> None:
        living = await store.living(connection, credentials) if credentials else set()
        for ended in credentials - living:
            self.forget(ended)
