"""Signed, opaque places in the feed's total order: the same cursor serves stream and history at any gateway.

A cursor is `<place>.<reader>`. The place (format, generation, offset, MAC) is the same for everyone who gets an item, so
it is signed once an item; the reader part is a MAC of who reads and which scopes they held, so it is computed once
a connection. Both have a fixed length, which lets a stream write shared bytes followed by the reader's own.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_FORMAT = 1
_PLACE = struct.Struct(">BHQ")
_PLACE_MAC = 9
_READER_MAC = 12
PLACE_LENGTH = (_PLACE.size + _PLACE_MAC) * 8 // 6 + (1 if (_PLACE.size + _PLACE_MAC) * 8 % 6 else 0)
READER_LENGTH = _READER_MAC * 8 // 6


class BadCursor(ValueError):
    """A cursor that we did not issue, or of a format we no longer read."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the feed: which generation of the topic, which offset was the last seen, and whose view it was."""

    generation: int
    offset: int
    reader: str


class Cursors:
    """Issues and reads cursors under one secret, shared by the gateway and the feed service."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the cursor secret has fewer than 32 bytes")
        self._secret = secret

    def place(self, generation: int, offset: int) -> str:
        """The part that all readers of an item share; offset -1 is before the first item."""
        packed = _PLACE.pack(_FORMAT, generation, offset + 1)
        return _encode(packed + self._mac(b"place", packed, _PLACE_MAC))

    def reader(self, person: str, scopes: Iterable[str]) -> str:
        """The part of one reader: equal exactly when person and scopes are equal."""
        seen = "\n".join((person, *sorted(scopes))).encode()
        return _encode(self._mac(b"reader", seen, _READER_MAC))

    def issue(self, generation: int, offset: int, reader: str) -> str:
        """The whole cursor as clients get it; `reader` comes from `reader()`."""
        return f"{self.place(generation, offset)}.{reader}"

    def read(self, text: str) -> Cursor:
        """The cursor a client sent back; raises `BadCursor` for one we did not issue."""
        place, dot, reader = text.partition(".")
        if not dot or len(place) != PLACE_LENGTH or len(reader) != READER_LENGTH:
            raise BadCursor("not a cursor")
        raw = _decode(place)
        packed, mac = raw[: _PLACE.size], raw[_PLACE.size :]
        if not hmac.compare_digest(mac, self._mac(b"place", packed, _PLACE_MAC)):
            raise BadCursor("not a cursor of ours")
        version, generation, following = _PLACE.unpack(packed)
        if version != _FORMAT:
            raise BadCursor("a cursor of another format")
        return Cursor(generation, following - 1, reader)

    def _mac(self, purpose: bytes, message: bytes, length: int) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + message, "sha256")[:length]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCursor("not a cursor") from error
