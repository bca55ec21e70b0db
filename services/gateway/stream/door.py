"""Opening a stream: who reads, whether there is room, what they may see, and from where they go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from urllib.parse import parse_qs
from uuid import UUID

from chassis.cursor import BadCursor, Cursors
from chassis.database import Database
from chassis.identity import unauthenticated
from chassis.problems import Problem, busy
from chassis.wire import Bounds
from roster import store
from roster.store import ReaderScopes
from services.gateway.authentication import Authenticator
from services.gateway.domain import Principal
from services.gateway.gathering import Gathering
from services.gateway.limits import STREAMS, RequestLimits
from services.gateway.stream import frames
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.intake import Intake
from services.gateway.stream.reader import Reader, Sink
from services.gateway.stream.rights import Rights, RosterBehind

_MOST_RETRY_AFTER = 5
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process takes: open streams in all and for one account, and what bounds every connection.

    `retry_ms` is how long clients wait before they reconnect, about.
    """

    streams: int = 20_000
    account_streams: int = 10
    retry_ms: int = 2000
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Ask:
    """A parsed request for the stream; header names are lower case."""

    headers: Mapping[bytes, bytes]
    query: bytes
    request: str
    address: str | None = None

    @property
    def cursor(self) -> str | None:
        """Where to go on from: the header of a reconnecting browser wins over the address it began with."""
        header = self.headers.get(b"last-event-id", b"").decode("latin-1").strip()
        given = parse_qs(self.query.decode("latin-1")).get("cursor", [""])[0]
        return header or given or None


class Door:
    """Lets readers in and out; what it counts and what it knows by session is of this process alone."""

    def __init__(
        self,
        fanout: FanOut,
        rights: Rights,
        intake: Intake,
        authenticator: Authenticator,
        database: Database,
        limits: Limits,
        requests: RequestLimits,
        worker: str,
    ) -> None:
        self._fanout = fanout
        self._rights = rights
        self._intake = intake
        self._authenticator = authenticator
        self._database = database
        self._scopes = Gathering(self._read_scopes)
        self.limits = limits
        self._worker = worker
        self._requests = requests
        self._places: dict[UUID, int] = {}
        self._opening = 0
        self._by_credential: dict[UUID, set[Reader]] = {}
        authenticator.on_revoked = self.revoked
        rights.on_change = fanout.change

    def watched(self) -> Iterable[UUID]:
        """The sessions and tokens that have streams open."""
        return tuple(self._by_credential)

    async def open(self, ask: Ask, sink: Sink) -> Reader:
        """Answer with an open stream; raises a `Problem` before anything was written.

        Whoever gets the reader must call `close` when its connection is gone.
        """
        if not self._intake.ready:
            raise busy("The stream is not ready to be sent.", _random.randint(1, _MOST_RETRY_AFTER))
        self._requests.check(STREAMS, ask.headers, ask.address)
        principal = await self._authenticator.principal(ask.headers)
        if principal is None:
            raise unauthenticated()
        person = principal.account.person
        if person is None:
            raise Problem(403, "no-person", "An operator's account has no feed")
        self._take_place(principal)
        reader = Reader(sink, principal.account.id, principal.credential, person)
        self._opening += 1
        try:
            self._begin(reader, await self._scopes.of(person), ask)
        except BaseException:
            self._give_place_back(reader.account)
            raise
        finally:
            self._opening -= 1
        return reader

    async def _read_scopes(self, people: Sequence[UUID]) -> dict[UUID, ReaderScopes]:
        async with self._database.connection() as connection:
            return await store.read_scopes_of(connection, people)

    def _take_place(self, principal: Principal) -> None:
        taken = self._places.get(principal.account.id, 0)
        if taken >= self.limits.account_streams:
            headers = {"Retry-After": str(_MOST_RETRY_AFTER)}
            detail = f"At most {self.limits.account_streams}; share one between tabs."
            raise Problem(429, "too-many-streams", "Too many open streams", detail=detail, headers=headers)
        if len(self._fanout) + self._opening >= self.limits.streams:
            raise busy("This process has as many streams as it takes.", _random.randint(1, _MOST_RETRY_AFTER))
        self._places[principal.account.id] = taken + 1

    def _give_place_back(self, account: UUID) -> None:
        left = self._places.get(account, 0) - 1
        if left > 0:
            self._places[account] = left
        else:
            self._places.pop(account, None)

    def _begin(self, reader: Reader, read: ReaderScopes, ask: Ask) -> None:
        """From scopes to the first bytes without waiting, so that no change and no item falls between."""
        if self._authenticator.revoked(reader.credential):
            raise unauthenticated()
        try:
            scopes = self._rights.attach(reader, reader.person, read)
        except RosterBehind as error:
            raise busy("The roster is behind the directory.", _MOST_RETRY_AFTER) from error
        reader.see(scopes, self._fanout.cursors.reader(str(reader.person), scopes))
        self._by_credential.setdefault(reader.credential, set()).add(reader)
        reader.sink.write(self._head(ask) + frames.opening(self._retry()))
        position, refusal = resume(self._fanout.cursors, self._fanout.generation, ask.cursor, reader.digest)
        self._fanout.join(reader, position)
        if refusal:
            self._fanout.reset(reader, refusal)

    def _head(self, ask: Ask) -> bytes:
        return (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\n"
            "x-accel-buffering: no\r\nx-content-type-options: nosniff\r\ntransfer-encoding: chunked\r\n"
            f"preau-worker: {self._worker}\r\nx-request-id: {ask.request}\r\n\r\n"
        ).encode()

    def _retry(self) -> int:
        return round(self.limits.retry_ms * _random.uniform(0.5, 1.5))

    def close(self, reader: Reader) -> None:
        """The connection is gone."""
        self._fanout.leave(reader)
        self._rights.detach(reader)
        self._give_place_back(reader.account)
        readers = self._by_credential.get(reader.credential)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._by_credential[reader.credential]

    def end(self, reader: Reader) -> None:
        """End a stream in order; its cursor tells the next process where to go on."""
        self._fanout.end(reader)

    def pause(self, reader: Reader) -> None:
        """The connection's buffer is full."""
        self._fanout.pause(reader)

    def resume(self, reader: Reader) -> None:
        """The connection's buffer has room."""
        self._fanout.resume(reader)

    def revoked(self, credential: UUID) -> None:
        """A session or token was revoked: its streams end."""
        for reader in tuple(self._by_credential.get(credential, ())):
            self._fanout.end(reader)


def resume(cursors: Cursors, generation: int, text: str | None, digest: str) -> tuple[int | None, str | None]:
    """Where a stream goes on: a position (None: from now), and the reason when a given cursor can't be honoured."""
    if text is None:
        return None, None
    try:
        cursor = cursors.read(text)
    except BadCursor:
        return None, "unreadable"
    if cursor.generation != generation:
        return None, "other-generation"
    if cursor.reader != digest:
        return None, "scopes-changed"
    return cursor.offset, None
