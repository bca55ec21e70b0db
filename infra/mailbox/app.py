"""The mailbox, composed: store, SMTP server, pages."""

from __future__ import annotations

from chassis.process import Process, run
from infra.mailbox import pages
from infra.mailbox.settings import MailboxSettings
from infra.mailbox.smtp import SmtpServer
from infra.mailbox.store import MessageStore, Room


async def compose(process: Process, settings: MailboxSettings) -> None:
    """Start the mailbox's parts in order."""
    store = MessageStore(settings.mailbox_file, Room(settings.mailbox_messages, settings.mailbox_bytes))
    await process.part(store.open(), store.close)
    server = SmtpServer(settings, store)
    await process.part(server.start(), server.stop)
    await process.serve(pages.build(settings, store), settings)


def main() -> None:
    """Run the mailbox until told to stop."""
    # Which file and ports is the environment's to say.
    settings = MailboxSettings()
    run("mailbox", settings, lambda process: compose(process, settings))
