"""Reading a message as it came: headers, text, HTML and attachments, whatever is wrong with it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value

LONGEST_HEADER = 2000
LONGEST_BODY = 500_000
MOST_HEADERS = 200
MOST_PARTS = 100


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is neither the text nor the HTML."""

    name: str
    kind: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Content:
    """A message taken apart; `html` is the sender's and never to be trusted."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]

    def header(self, name: str) -> str:
        """The first header of that name, decoded; empty where there is none."""
        return next((value for given, value in self.headers if given.lower() == name), "")


def read(raw: bytes) -> Content:
    """Take a message apart; what can't be read is left out, and nothing raises."""
    try:
        return _read(BytesParser(policy=compat32).parsebytes(raw))
    except Exception:  # The library's parser has many ways to fail on what strangers send
        return Content((), raw.decode("utf-8", "replace")[:LONGEST_BODY], None, ())


def _read(message: Message) -> Content:
    text: str | None = None
    html: str | None = None
    attachments: list[Attachment] = []
    for part in _parts(message):
        kind, apart = part.get_content_type(), _name(part)
        if kind == "text/plain" and text is None and not apart:
            text = _text(part)
        elif kind == "text/html" and html is None and not apart:
            html = _text(part)
        else:
            attachments.append(Attachment(apart or kind, kind, len(_payload(part))))
    headers = tuple((name, decoded(value)) for name, value in list(message.raw_items())[:MOST_HEADERS])
    return Content(headers, text, html, tuple(attachments))


def _parts(message: Message) -> Iterator[Message]:
    """The parts that hold something, each once, up to a bound."""
    found = (part for part in message.walk() if not part.is_multipart())
    for _, part in zip(range(MOST_PARTS), found, strict=False):
        yield part


def _name(part: Message) -> str:
    """The file name of a part that is an attachment; empty for one to be read in place."""
    name = part.get_param("filename", None, "content-disposition") or part.get_param("name", None)
    disposition = str(part.get("content-disposition", "")).partition(";")[0].strip().lower()
    if not name:
        return "attachment" if disposition == "attachment" else ""
    return decoded(collapse_rfc2231_value(name))


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    charset = part.get_content_charset("utf-8")
    try:
        text = _payload(part).decode(charset, "replace")
    except (LookupError, ValueError):
        text = _payload(part).decode("utf-8", "replace")
    return text.replace("\0", "�")[:LONGEST_BODY]


def decoded(value: object) -> str:
    """A header's value as people read it, on one line."""
    raw = str(value)[:LONGEST_HEADER].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    line = " ".join(raw.split())
    if "=?" not in line:
        return _printable(line)
    try:
        return _printable(str(make_header(decode_header(line))))
    except Exception:  # An unknown charset, a torn encoding: then as it stands
        return _printable(line)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def folded(text: str) -> str:
    """A text for searching: without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))
