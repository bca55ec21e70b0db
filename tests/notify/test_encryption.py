"""Encrypted connections to the mail server and signing in there, against a real SMTP server with certificates of its own."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.database import Database
from services.notify.channels.email import Email
from services.notify.domain import Result
from services.notify.usecases import sending
from tests.notify.certificates import Authority, authority
from tests.notify.facts import MEMORY, published, settings, tell
from tests.notify.mailserver import MailServer, mail_server
from tests.notify.test_email import letter

GREETING = b"EHLO preau.exemple.fr\r\n"
USER, PASSWORD = "préau", "mot de passé 42"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def county(folder: Path) -> Authority:
    return authority(folder)


async def sent(post: MailServer, count: int = 1, **given: Any) -> set[tuple[Result, str | None]]:
    """What becomes of letters sent by a channel with these settings."""
    channel = Email(settings(post.port, **given))
    try:
        return {(one.result, one.why) for one in await channel.send([letter() for _ in range(count)])}
    finally:
        await channel.close()


def signing_in(county: Authority, how: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    """Settings of an operator whose mail server has a certificate of the county's."""
    given = {"smtp_tls": how, "smtp_ca_file": county.file, "smtp_user": USER, "smtp_password": password}
    return given | more


async def test_nothing_is_said_before_the_connection_is_encrypted(county: Authority, folder: Path) -> None:
    async with mail_server(starttls=county.server(folder), account=(USER, PASSWORD)) as post:
        assert await sent(post, 2, **signing_in(county, "starttls", smtp_connections=1)) == {(Result.SENT, None)}
        assert (len(post.accepted), post.logins) == (2, [USER])
        assert bytes(post.in_clear) == GREETING + b"STARTTLS\r\n"


async def test_a_connection_may_be_encrypted_from_its_first_byte(county: Authority, folder: Path) -> None:
    async with mail_server(tls=county.server(folder), account=(USER, PASSWORD)) as post:
        assert await sent(post, **signing_in(county, "tls")) == {(Result.SENT, None)}
        assert (len(post.accepted), post.logins, bytes(post.in_clear)) == (1, [USER], b"")


async def test_a_server_that_does_not_encrypt_hears_nothing(county: Authority) -> None:
    async with mail_server() as post:
        assert await sent(post, **signing_in(county, "starttls")) == {(Result.AGAIN, "no-tls")}
        assert (post.accepted, post.logins, bytes(post.in_clear)) == ([], [], GREETING)
        assert await sent(post, **signing_in(county, "tls", smtp_seconds=1)) == {(Result.AGAIN, "not-reached")}
        assert post.accepted == []


@pytest.mark.parametrize("how", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["another authority", "another address", "expired", "the system's authorities"])
async def test_a_certificate_that_does_not_verify_is_refused(
    county: Authority, folder: Path, how: str, wrong: str
) -> None:
    signs = authority(folder, "Somebody else") if wrong == "another authority" else county
    address = "127.0.0.2" if wrong == "another address" else "127.0.0.1"
    presented: ssl.SSLContext = signs.server(folder, address, over=wrong == "expired")
    given = signing_in(county, how)
    if wrong == "the system's authorities":
        given["smtp_ca_file"] = None
    async with mail_server(**{how: presented}, account=(USER, PASSWORD)) as post:
        assert await sent(post, **given) == {(Result.AGAIN, "certificate")}
        assert (post.accepted, post.logins) == ([], [])
        assert bytes(post.in_clear) == (GREETING + b"STARTTLS\r\n" if how == "starttls" else b"")


async def test_a_wrong_password_leaves_the_message_queued_and_is_written_nowhere(
    notify: Database, county: Authority, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = settings(1, **signing_in(county, "starttls", "not this one"))
    await tell(notify, published())
    async with mail_server(starttls=county.server(folder), account=(USER, PASSWORD)) as post:
        channel = Email(given.model_copy(update={"smtp_port": post.port}))
        async with notify.connection() as connection, connection.transaction(isolation="repeatable_read"):
            batch = await sending.claim(connection, 10, 60, MEMORY.messages, 60)
        letters = batch.letters["email"]
        async with notify.connection() as connection:
            outcomes = await channel.send(letters)
            await sending.settle(connection, letters, outcomes, batch.lease, 5)
            rows = await connection.fetch("SELECT state, reason, due_at > now() AS later FROM messages")
        assert {tuple(row) for row in rows} == {("queued", "sign-in-535", True)}
        assert post.logins
        assert post.accepted == []
    # What the server of the test writes about itself is no log of ours.
    ours = [vars(record) for record in caplog.records if record.name != "mail.log"]
    assert "sign-in-535" in {record.get("why") for record in ours}
    for secret in ("not this one", USER, "mother@exemple.fr"):
        assert secret not in f"{ours} {outcomes}"
    assert "not this one" not in repr(given)


async def test_a_server_that_lets_nobody_in_is_not_asked_again_for_each_letter(county: Authority, folder: Path) -> None:
    """A provider locks an account after some failures, and an address after more."""
    async with mail_server(starttls=county.server(folder), account=(USER, PASSWORD)) as post:
        given = signing_in(county, "starttls", "not this one", smtp_connections=2)
        assert await sent(post, 50, **given) == {(Result.AGAIN, "sign-in-535")}
        # Two connections, by each of the two ways to sign in that the server offers.
        assert len(post.logins) <= 2 * 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"smtp_user": USER, "smtp_password": PASSWORD, "smtp_tls": "none"}, "smtp_tls"),
        ({"smtp_user": USER, "smtp_tls": "tls"}, "smtp_password"),
        ({"smtp_password": PASSWORD, "smtp_tls": "tls"}, "smtp_user"),
        ({"smtp_ca_file": "/nowhere/authority.pem", "smtp_tls": "tls"}, "smtp_ca_file"),
    ],
)
def test_settings_that_would_not_do_are_refused_at_the_start(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(25, **wrong)
    assert field in str(refused.value)
    assert PASSWORD not in str(refused.value)
