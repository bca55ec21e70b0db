"""The bytes of the stream: server-sent events in HTTP chunks, cut so that all readers share everything but the end.

A frame is shared bytes followed by the reader's own ending. The `id:` line comes last and ends in the reader's part of
the cursor, whose length is fixed, so the chunk's length is known before the reader is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from chassis.cursor import READER_LENGTH

END = b"0\r\n\r\n"
"""The last chunk of a response: an orderly end, after which clients resume elsewhere."""

_ENDING = b"\n\n"
_NO_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def _shared(fields: bytes) -> bytes:
    return b"%x\r\n%b" % (len(fields) + READER_LENGTH + len(_ENDING), fields)


def ending(reader: str) -> bytes:
    """What completes every shared frame for one reader; `reader` is the reader's part of a cursor."""
    if len(reader) != READER_LENGTH:
        raise ValueError("the reader's part of a cursor has a fixed length")
    return reader.encode() + _ENDING + b"\r\n"


def event(name: str, data: bytes, place: str) -> bytes:
    """The shared part of an event; `data` is JSON as on the wire, `place` the shared part of its cursor."""
    # In valid JSON a raw line break can only stand between tokens, where a space means the same.
    return _shared(b"event: %b\ndata: %b\nid: %b." % (name.encode(), data.translate(_NO_LINE_BREAKS), place.encode()))


def notice(name: str, members: Mapping[str, str], place: str) -> bytes:
    """The shared part of an event of the stream itself: a scope that came or went, or a reset."""
    return event(name, json.dumps(members, separators=(",", ":")).encode(), place)


def beat(place: str) -> bytes:
    """The shared part of a heartbeat: a comment, and an `id:` that keeps a quiet reader's cursor young."""
    return _shared(b": beat\nid: %b." % place.encode())


def opening(retry_ms: int) -> bytes:
    """The first chunk, complete in itself: how long this client waits before it reconnects."""
    fields = b"retry: %d\n\n" % retry_ms
    return b"%x\r\n%b\r\n" % (len(fields), fields)
