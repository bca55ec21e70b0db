"""From a letter to an e-mail: headers, plain text, a small HTML alternative. Pure but for the date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from uuid import UUID

from services.notify.letters import Letter
from services.notify.words import Words, words

PREFERENCES = "/notifications"
"""Path of the portal where people choose what they receive."""
_SEVEN_BIT = SMTP.clone(cte_type="7bit")
_ADDRESS = re.compile(r"[!#-'*+\-/-9=?A-Z^-~]+(\.[!#-'*+\-/-9=?A-Z^-~]+)*@[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*")
_MOST_SUBJECT = 200
_HTML = """\
<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="font-family: sans-serif; font-size: 16px; line-height: 1.5; color: #1e1e1e; max-width: 36em">
<p>{greeting}</p>
<p><strong>{headline}</strong></p>
<p>{details}</p>
<p><a href="{portal}">{read}</a></p>
<hr>
<p><a href="{chosen}">{preferences}</a></p>
</body>
</html>
"""


class BadAddress(ValueError):
    """An address no mail can be sent to: malformed, or with letters beyond ASCII."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom messages come from and where their links lead."""

    address: str
    name: str
    public_url: str

    @property
    def domain(self) -> str:
        """The domain of every Message-ID."""
        return self.address.rpartition("@")[2]


def message(letter: Letter, sender: Sender) -> EmailMessage:
    """The e-mail of a letter; raises `BadAddress`."""
    if len(letter.address) > 254 or not _ADDRESS.fullmatch(letter.address):
        raise BadAddress
    said = words(letter)
    portal, chosen = sender.public_url.rstrip("/") + "/", sender.public_url.rstrip("/") + PREFERENCES
    made = EmailMessage(policy=_SEVEN_BIT)
    made["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    made["To"] = Address(addr_spec=letter.address)
    made["Subject"] = one_line(said.subject)
    made["Date"] = format_datetime(datetime.now(UTC))
    made["Message-ID"] = _id(letter.message_id, sender)
    if letter.answers is not None:
        made["In-Reply-To"] = _id(letter.answers, sender)
        made["References"] = _id(letter.answers, sender)
    made["Auto-Submitted"] = "auto-generated"
    made["List-Unsubscribe"] = f"<{chosen}>"
    made["Content-Language"] = letter.language
    # Named, since the library would otherwise encode each body in every way it knows and compare.
    made.set_content(_plain(said, portal, chosen), cte="quoted-printable")
    made.add_alternative(_html(said, letter.language, portal, chosen), subtype="html", cte="quoted-printable")
    return made


def one_line(text: str) -> str:
    """Text as it may stand in a header: one line, no control characters, of bounded length."""
    # Any space but the plain one is not printable, the narrow one of French punctuation too.
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_MOST_SUBJECT]


def _id(of: UUID, sender: Sender) -> str:
    return f"<{of}@{sender.domain}>"


def _plain(said: Words, portal: str, chosen: str) -> str:
    details = "\n".join(said.details)
    return f"{said.greeting}\n\n{said.headline}\n\n{details}\n\n{said.read} : {portal}\n\n-- \n{said.preferences} : {chosen}\n"


def _html(said: Words, language: str, portal: str, chosen: str) -> str:
    return _HTML.format(
        language=language,
        subject=escape(said.subject),
        greeting=escape(said.greeting),
        headline=escape(said.headline),
        details="<br>\n".join(escape(line) for line in said.details),
        portal=escape(portal),
        read=escape(said.read),
        chosen=escape(chosen),
        preferences=escape(said.preferences),
    )
