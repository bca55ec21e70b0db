"""Settings of the mailbox; its pages listen on `PREAU_HOST` and `PREAU_PORT` like every HTTP side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from chassis.settings import HttpSettings


class MailboxSettings(HttpSettings):
    """What the mailbox is told."""

    mailbox_file: Path
    """The SQLite file that keeps the messages."""
    mailbox_smtp_host: str = "127.0.0.1"
    """Address on which e-mails are taken in; anybody who reaches it may post, so another than loopback is meant."""
    mailbox_smtp_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port on which e-mails are taken in; 0 picks a free one."""
    mailbox_names: tuple[str, ...] = ("127.0.0.1", "localhost")
    """Names under which the pages may be asked for (JSON array); any other name is another site's, turned to this host."""
    mailbox_messages: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Messages kept at the most; the oldest go first."""
    mailbox_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """Bytes of messages kept at the most; the oldest go first."""
    mailbox_message_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """Largest message, in bytes; larger ones are refused with 552."""
    mailbox_recipients: Annotated[int, Field(ge=1, le=1000)] = 100
    """Recipients of one message at the most; further ones are refused with 452."""
    mailbox_connections: Annotated[int, Field(ge=1, le=1000)] = 50
    """Senders connected at once; further ones are refused with 421."""
    mailbox_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """How long a sender may take for one command or one message, in seconds."""
