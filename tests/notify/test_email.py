"""E-mail against a real SMTP server: what a message says and carries, and what each answer of the server means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from email.message import EmailMessage
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import Subject
from contracts.envelope import Event, new_id
from contracts.grades import Mark
from services.notify import domain
from services.notify.channels import email, mail
from services.notify.channels.email import Email
from services.notify.channels.mail import Sender, message
from services.notify.domain import Result, Says
from services.notify.letters import Letter
from tests.notify.facts import corrected, published, settings, withdrawn
from tests.notify.mailserver import HANG, HANG_UP, LAST_WORD, SLOW, MailServer
from tests.rosters import uid

SENDER = Sender("ne-pas-repondre@preau.exemple.fr", "Préau", "https://preau.exemple.fr/")
NUMBERS: Iterator[int] = count(1)


def letter(event: Event | None = None, **changes: Any) -> Letter:
    told = event or published("14.5")
    found = domain.fact_of(told.TYPE, UUID(new_id()), told.model_dump_json().encode())
    assert found is not None
    number = next(NUMBERS)
    values: dict[str, Any] = {
        "message": number, "message_id": uid(f"message {number}"), "answers": None, "address": "mother@exemple.fr",
        "language": "fr", "child": "Zoé", "says": Says.NEW, "fact": found, "before": None, "attempts": 1,
    }  # fmt: skip
    return Letter(**(values | changes))


def text(of: EmailMessage, kind: str = "plain") -> str:
    body = of.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_a_new_grade_in_french_and_in_english() -> None:
    french = message(letter(), SENDER)
    assert french["Subject"] == "Zoé · Mathématiques : 14,5/20"
    for part in ("Zoé a une nouvelle note", "14,5/20", "coefficient 2", "https://preau.exemple.fr/notifications"):
        assert part in text(french)
        assert part in text(french, "html")
    english = message(letter(language="en"), SENDER)
    assert english["Subject"] == "Zoé · Mathématiques: 14.5/20"
    assert "weight 2" in text(english)


def test_a_correction_says_old_and_new_and_answers_the_first() -> None:
    first = uid("first")
    made = message(
        letter(corrected("12", "15"), says=Says.CORRECTED, before=Mark(score=Decimal(12)), answers=first), SENDER
    )
    assert "12/20 → 15/20" in text(made)
    assert made["In-Reply-To"] == made["References"] == f"<{first}@preau.exemple.fr>"
    gone = message(letter(withdrawn(), says=Says.WITHDRAWN, answers=first), SENDER)
    assert "note retirée" in gone["Subject"]


def test_headers_of_what_a_machine_sends() -> None:
    one = letter()
    made = message(one, SENDER)
    assert made["Message-ID"] == f"<{one.message_id}@preau.exemple.fr>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["List-Unsubscribe"] == "<https://preau.exemple.fr/notifications>"
    assert made["From"].addresses[0].addr_spec == SENDER.address
    assert made["Date"].datetime.tzinfo is not None


@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_no_name_puts_a_header_or_markup_into_a_message(child: str, subject: str) -> None:
    hostile = published("9")
    label = Subject(code="X", label=f"{subject}\r\nBcc: x@exemple.fr\n\n<script>")
    hostile = hostile.model_copy(update={"assessment": hostile.assessment.model_copy(update={"subject": label})})
    raw = message(letter(hostile, child=child), SENDER).as_bytes()
    head, _, _ = raw.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line[:1].isspace()]
    assert b"Bcc" not in names
    assert names.count(b"To") == names.count(b"Subject") == 1
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert "<script>" not in text(message(letter(hostile, child=child), SENDER), "html")


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@b\r\nBcc: c@d", "a b@exemple.fr", "zoé@exemple.fr", "a@b,c@d", "<a@b>", "a" * 300 + "@b"],
)
async def test_a_bad_address_fails_alone(post: MailServer, address: str) -> None:
    channel = Email(settings(post.port))
    outcomes = await channel.send([letter(address=address), letter()])
    assert [(o.result, o.why) for o in outcomes] == [(Result.REFUSED, "bad-address"), (Result.SENT, None)]
    assert [one["To"] for one in post.accepted] == ["mother@exemple.fr"]
    await channel.close()


@pytest.mark.parametrize(
    ("behaviour", "result", "why"),
    [
        ("451 later", Result.AGAIN, "smtp-451"),
        ("550 nobody here", Result.REFUSED, "smtp-550"),
        ("421 closing", Result.AGAIN, "smtp-421"),
        (HANG, Result.UNKNOWN, "connection-lost"),
        (HANG_UP, Result.UNKNOWN, "connection-lost"),
        (LAST_WORD, Result.SENT, None),
    ],
)
async def test_what_the_server_does_to_one_message_is_no_fate_of_the_others(
    post: MailServer, behaviour: str, result: Result, why: str | None
) -> None:
    channel = Email(settings(post.port, smtp_seconds=0.4, smtp_connections=2))
    post.behaviour["poison@exemple.fr"] = [behaviour]
    poison = letter(address="poison@exemple.fr")
    outcomes = await channel.send([poison, *(letter(address=f"a{n}@exemple.fr") for n in range(10))])
    assert (outcomes[0].result, outcomes[0].why) == (result, why)
    assert {o.result for o in outcomes[1:]} == {Result.SENT}
    assert len([one for one in post.accepted if one["To"] != "poison@exemple.fr"]) == 10
    await channel.close()


async def test_connections_are_few_and_used_again(post: MailServer) -> None:
    channel = Email(settings(post.port, smtp_connections=3))
    for _ in range(3):
        assert {o.result for o in await channel.send([letter() for _ in range(20)])} == {Result.SENT}
    assert post.most_connections == 3
    await channel.close()
    async with asyncio.timeout(5):
        while post.connections:  # noqa: ASYNC110 - the server notices when its sockets close
            await asyncio.sleep(0.01)


async def test_what_a_slow_server_keeps_waiting_is_not_begun(post: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "BEGIN_SECONDS", 0.2)
    channel = Email(settings(post.port, smtp_connections=1))
    post.behaviour["slow@exemple.fr"] = [SLOW]
    outcomes = await channel.send([letter(address="slow@exemple.fr"), letter()])
    assert [outcome.result for outcome in outcomes] == [Result.SENT, Result.NOT_BEGUN]
    await channel.close()


async def test_a_server_that_is_away_is_tried_again() -> None:
    channel = Email(settings(1))
    (outcome,) = await channel.send([letter()])
    assert (outcome.result, outcome.why) == (Result.AGAIN, "not-reached")


def test_headers_are_one_line_of_bounded_length() -> None:
    assert mail.one_line("a\r\nb\x00c\u2028d") == "a b c d"
    assert len(mail.one_line("x" * 5000)) == 200
