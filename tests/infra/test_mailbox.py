"""The mailbox over real SMTP: what it keeps, what it refuses, and that nothing of a message runs."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.process import listen
from infra.mailbox import pages
from infra.mailbox.messages import decoded, read
from infra.mailbox.settings import MailboxSettings
from infra.mailbox.smtp import Refusals, SmtpServer
from infra.mailbox.store import MessageStore, Room

T = TypeVar("T")
HTML = '<p>Bonjour</p><script>document.title="ran"</script><img src="https://example.org/pixel">'


def mail(to: str = "parent@example.org", subject: str = "Une note", text: str = "14,5 sur 20") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "preau@example.org", to, subject
    message["Message-ID"], message["In-Reply-To"] = "<two@preau>", "<one@preau>"
    message.set_content(text)
    return message


@dataclass(frozen=True)
class Answer:
    """What the pages answered."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Mailbox:
    """A mailbox that listens."""

    server: SmtpServer
    base: str
    client: aiohttp.ClientSession

    async def smtp(self, work: Callable[[smtplib.SMTP], T]) -> T:
        """Talk to it in a thread, as a sender does."""

        def talk() -> T:
            with smtplib.SMTP("127.0.0.1", self.server.port, timeout=10) as client:
                return work(client)

        return await asyncio.to_thread(talk)

    async def send(self, *messages: EmailMessage) -> None:
        def post(client: smtplib.SMTP) -> None:
            for message in messages:
                client.send_message(message)

        await self.smtp(post)

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        async with self.client.request(method, self.base + path, allow_redirects=False, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def messages(self, **query: object) -> list[dict[str, Any]]:
        answer = await self.ask("/messages.json", params={k: str(v) for k, v in query.items()})
        found: list[dict[str, Any]] = json.loads(answer.text)["messages"]
        return found

    async def page(self, path: str) -> str:
        answer = await self.ask(path)
        assert answer.status == 200, answer.text
        return answer.text


@asynccontextmanager
async def listening(folder: Path, **options: object) -> AsyncIterator[Mailbox]:
    given = {f"mailbox_{name}": value for name, value in options.items()}
    chosen = MailboxSettings.model_validate({"mailbox_file": folder / "messages.sqlite", **given})
    store = MessageStore(chosen.mailbox_file, Room(chosen.mailbox_messages, chosen.mailbox_bytes))
    await store.open()
    server = SmtpServer(chosen, store)
    await server.start()
    sock = listen("127.0.0.1", 0)
    sock.listen()
    web = uvicorn.Server(uvicorn.Config(pages.build(chosen, store), log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(web.serve(sockets=[sock]))
    async with aiohttp.ClientSession() as client:
        yield Mailbox(server, f"http://127.0.0.1:{sock.getsockname()[1]}", client)
    web.should_exit = True
    await serving
    await server.stop()
    await store.close()


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    async with listening(tmp_path) as opened:
        yield opened


async def test_a_message_is_kept_as_it_came(mailbox: Mailbox) -> None:
    message = mail(subject="Léa : évaluation corrigée — français", text="Très bien.\n.\nUn point seul.")
    message.add_alternative(HTML, subtype="html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="relevé.pdf")
    await mailbox.send(message)
    (kept,) = await mailbox.messages()
    assert kept["subject"] == message["Subject"]
    assert (kept["from"], kept["to"]) == ("preau@example.org", ["parent@example.org"])
    assert (kept["message_id"], kept["in_reply_to"]) == ("<two@preau>", "<one@preau>")
    assert kept["text"].splitlines() == ["Très bien.", ".", "Un point seul."]
    one = json.loads(await mailbox.page(f"/messages/{kept['id']}.json"))
    assert one["html"].strip() == HTML
    assert one["attachments"] == [{"name": "relevé.pdf", "kind": "application/pdf", "bytes": 5}]
    raw = await mailbox.ask(f"/messages/{kept['id']}.eml")
    assert raw.headers["Content-Type"] == "message/rfc822"
    assert "=?utf-8?" in raw.text


async def test_html_is_shown_where_nothing_of_it_runs(mailbox: Mailbox) -> None:
    message = mail(subject="<script>alert(1)</script>")
    message.add_alternative(HTML, subtype="html")
    await mailbox.send(message)
    shown = await mailbox.page("/messages/1")
    assert "<script>alert" not in shown
    assert "pixel" not in shown
    assert "sandbox src=" in shown
    html = await mailbox.ask("/messages/1/html")
    policy = html.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("sandbox")
    assert "script-src" not in policy
    assert "script-src 'self'" in (await mailbox.ask("/")).headers["Content-Security-Policy"]


async def test_a_hundred_messages_are_listed_paged_and_searched(mailbox: Mailbox) -> None:
    await mailbox.send(*(mail(f"famille{n}@example.org", f"Élève n° {n:03}") for n in range(100)))
    first = await mailbox.page("/")
    assert first.index("n° 099") < first.index("n° 050")
    assert "n° 049" not in first
    assert "n° 049" in await mailbox.page("/?before=51")
    found = await mailbox.page("/?q=ELEVE+N°+007")
    assert found.count("/messages/") == 1
    assert [m["subject"] for m in await mailbox.messages(to="Famille42@example.org")] == ["Élève n° 042"]
    assert [m["id"] for m in await mailbox.messages(after=97, limit=2)] == [98, 99]


async def test_what_was_kept_outlives_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    async with listening(tmp_path) as first:
        await first.send(mail(subject="avant"), mail(subject="encore avant"))
    async with listening(tmp_path) as second:
        assert [m["subject"] for m in await second.messages()] == ["avant", "encore avant"]
        assert (await second.ask("/delete", "POST")).status == 303
        await second.send(mail(subject="après"))
        assert [(m["id"], m["subject"]) for m in await second.messages()] == [(3, "après")]
    assert (tmp_path / "messages.sqlite").stat().st_mode & 0o077 == 0


async def test_the_oldest_go_first(tmp_path: Path) -> None:
    async with listening(tmp_path, messages=5) as mailbox:
        await mailbox.send(*(mail(subject=str(n)) for n in range(8)))
        assert [m["subject"] for m in await mailbox.messages()] == ["3", "4", "5", "6", "7"]
    async with listening(tmp_path / "by bytes", bytes=20_000) as mailbox:
        await mailbox.send(*(mail(subject=str(n), text="x" * 6000 + "\n") for n in range(5)))
        assert [m["subject"] for m in await mailbox.messages()] == ["2", "3", "4"]


async def test_sizes_recipients_and_connections_are_bounded(tmp_path: Path) -> None:
    async with listening(tmp_path, message_bytes=10_000, recipients=2, connections=1) as mailbox:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            await mailbox.send(mail(text="x" * 70 + "\n" + ("y" * 70 + "\n") * 200))
        assert refused.value.smtp_code == 552
        to = [f"{n}@example.org" for n in range(3)]
        refusals = await mailbox.smtp(lambda client: client.sendmail("a@example.org", to, b"Subject: a\r\n\r\nb"))
        assert {address: code for address, (code, _) in refusals.items()} == {"2@example.org": 452}

        def endless(client: smtplib.SMTP) -> None:
            client.helo()
            client.mail("a@example.org")
            client.rcpt("b@example.org")
            client.docmd("DATA")
            assert client.sock is not None
            for _ in range(1000):
                client.sock.sendall(b"x" * 65536)

        with pytest.raises(OSError):  # noqa: PT011 - reset or broken, as it happens
            await mailbox.smtp(endless)

        def second(_: smtplib.SMTP) -> int:
            with pytest.raises(smtplib.SMTPConnectError) as full:
                smtplib.SMTP("127.0.0.1", mailbox.server.port, timeout=10)
            return full.value.smtp_code

        assert await mailbox.smtp(second) == 421
        assert len(await mailbox.messages()) == 1


async def test_some_recipients_are_refused(mailbox: Mailbox) -> None:
    for address, code in (("bounce@example.org", 550), ("tempfail@example.org", 451), ("TempFail+1@example.org", 451)):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            await mailbox.send(mail(address))
        assert refused.value.recipients[address][0] == code
    await mailbox.send(mail("TempFail+1@example.org"))
    assert len(await mailbox.messages()) == 1


def test_a_recipient_is_refused_as_often_as_it_says() -> None:
    refusals = Refusals()
    assert [bool(refusals.of("tempfail+2@a")) for _ in range(4)] == [True, True, False, True]
    assert refusals.of("nobody@bounce.example.org") is None


async def test_another_site_neither_reads_nor_deletes(mailbox: Mailbox) -> None:
    await mailbox.send(mail())
    assert (await mailbox.ask("/messages.json", headers={"Host": "evil.example"})).status == 400
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await mailbox.ask("/delete", "POST", headers=headers)).status == 403
    assert len(await mailbox.messages()) == 1
    assert (await mailbox.ask("/delete", "POST", headers={"Origin": mailbox.base})).status == 303
    assert await mailbox.messages() == []
    assert (await mailbox.ask("/messages/1")).status == 404


MALFORMED = (
    b"",
    b"no header at all",
    b"Subject: =?nosuch?B?w6k=?=\r\nContent-Type: text/plain; charset=nosuch\r\n\r\n\xff\xfe",
    b"Subject: =?utf-8?B?torn\r\nContent-Type: multipart/mixed\r\n\r\nx",
    b'Subject: \xff\xc3\xa9\0\r\nContent-Type: text/html; charset="\r\n\r\n\0<p>',
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
    b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(500)),
)


@pytest.mark.parametrize("raw", MALFORMED)
async def test_malformed_messages_are_kept_and_shown(mailbox: Mailbox, raw: bytes) -> None:
    await mailbox.smtp(lambda client: client.sendmail("", ["parent@example.org"], raw))
    (kept,) = await mailbox.messages()
    await mailbox.page("/")
    await mailbox.page(f"/messages/{kept['id']}")
    assert (await mailbox.ask(f"/messages/{kept['id']}.json")).status == 200


@settings(max_examples=50)
@given(st.binary(max_size=400), st.text(max_size=80))
def test_reading_never_fails(body: bytes, header: str) -> None:
    head = f"Subject: {header}\r\nContent-Type: {header}\r\nContent-Disposition: {header}\r\n\r\n"
    content = read(head.encode("utf-8", "surrogatepass") + body)
    assert all(text.encode() is not None for _, text in content.headers)
    assert (content.text or "").isascii() is not None
    assert "\n" not in decoded(header)
