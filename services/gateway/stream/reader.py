"""One open stream: who reads, what they may see at this moment, and how far they have come."""

from __future__ import annotations

from enum import Enum
from typing import Protocol
from uuid import UUID

from services.gateway.stream import frames


class Sink(Protocol):
    """Where a reader's bytes go: the socket's transport."""

    def write(self, data: bytes) -> None:
        """Send, or buffer up to the transport's bound."""

    def close(self) -> None:
        """Close once what is buffered was sent."""

    def abort(self) -> None:
        """Close at once."""


class State(Enum):
    """Where a reader stands on the sending path."""

    CURRENT = "current"
    """Has everything up to the ring's head; its position is not kept."""
    BEHIND = "behind"
    """Has everything up to `position`; the rest comes from the ring."""
    CATCHING_UP = "catching up"
    """Stood before the ring's floor; the feed's history is being written to it."""
    STALE = "stale"
    """Its place is of another generation of the feed; it gets nothing until it has been told so."""
    CLOSED = "closed"


class Reader:
    """An open stream. Only the fan-out changes it; it holds no items, so what it costs does not grow with traffic."""

    __slots__ = (
        "account",
        "beats_ahead",
        "credential",
        "digest",
        "ending",
        "pages",
        "paused",
        "person",
        "position",
        "scopes",
        "sink",
        "slot",
        "state",
        "wrote_at",
    )

    def __init__(self, sink: Sink, account: UUID, credential: UUID, person: UUID) -> None:
        self.sink = sink
        self.account = account
        """Whose bound on open streams it counts against."""
        self.credential = credential
        """Id of the session or token it was opened with; revoking that closes it."""
        self.person = person
        self.scopes: frozenset[str] = frozenset()
        self.digest = ""
        self.ending = b""
        self.state = State.BEHIND
        self.position = -1
        self.paused = False
        self.wrote_at = 0.0
        self.slot = 0
        self.beats_ahead = 0
        self.pages = 0

    def see(self, scopes: frozenset[str], digest: str) -> None:
        """What it may see from now on; `digest` is the reader's part of its cursors."""
        self.scopes = scopes
        self.digest = digest
        self.ending = frames.ending(digest)

    def write(self, shared: list[bytes]) -> None:
        """Write frames as one piece."""
        self.sink.write(self.ending.join(shared) + self.ending)

    def end(self) -> None:
        """End the response in order: the client resumes elsewhere by its cursor."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self.sink.write(frames.END)
            self.sink.close()

    def cut(self) -> None:
        """End at once, whatever was buffered."""
        self.state = State.CLOSED
        self.sink.abort()
