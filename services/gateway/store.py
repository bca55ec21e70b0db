"""Every SQL statement of the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from chassis.database import Connection
from services.gateway.domain import Account, Kind, Principal

if TYPE_CHECKING:
    from asyncpg import Record

REVOKED_CHANNEL = "preau_revoked"


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as its owner lists it; the secret itself is kept nowhere."""

    id: UUID
    login: str
    name: str
    created_at: datetime
    expires_at: datetime


# Accounts


async def add_account(connection: Connection, account: Account, folded: str, password_hash: str | None) -> bool:
    """Make an account; False when its login is taken."""
    return bool(
        await connection.fetchval(
            "INSERT INTO accounts (id, login, folded, password_hash, person) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (folded) DO NOTHING RETURNING true",
            account.id,
            account.login,
            folded,
            password_hash,
            account.person,
        )
    )


async def account(connection: Connection, folded: str) -> tuple[Account, str | None] | None:
    """The account of a login with its password hash, None for one that is not."""
    row = await connection.fetchrow("SELECT id, login, person, password_hash FROM accounts WHERE folded = $1", folded)
    return None if row is None else (_account(row), row["password_hash"])


async def account_of(connection: Connection, person: UUID) -> tuple[Account, str | None] | None:
    """The oldest account of a person with its password hash; locked, so that it stays as it is meanwhile."""
    row = await connection.fetchrow(
        "SELECT id, login, person, password_hash FROM accounts WHERE person = $1"
        " ORDER BY created_at, id LIMIT 1 FOR UPDATE",
        person,
    )
    return None if row is None else (_account(row), row["password_hash"])


async def with_accounts(connection: Connection, people: Iterable[UUID]) -> set[UUID]:
    """Those among the given people who have an account."""
    rows = await connection.fetch("SELECT person FROM accounts WHERE person = ANY($1::uuid[])", list(people))
    return {row["person"] for row in rows}


async def give_login(connection: Connection, account: Account, login: str, folded: str, password_hash: str) -> bool:
    """Give an account that has none a login and a password of its own; False when the login is another's."""
    if await connection.fetchval("SELECT true FROM accounts WHERE folded = $1 AND id <> $2", folded, account.id):
        return False
    await connection.execute(
        "UPDATE accounts SET login = $2, folded = $3, password_hash = $4 WHERE id = $1",
        account.id,
        login,
        folded,
        password_hash,
    )
    return True


def _account(row: Record) -> Account:
    return Account(row["id"], row["login"], row["person"])


async def set_password(connection: Connection, account: UUID, password_hash: str) -> None:
    """Replace a password."""
    await connection.execute("UPDATE accounts SET password_hash = $2 WHERE id = $1", account, password_hash)


async def remove_account(connection: Connection, folded: str) -> bool:
    """Remove an account with all it was signed in with; False when there is none."""
    return bool(await connection.fetchval("DELETE FROM accounts WHERE folded = $1 RETURNING true", folded))


# Sessions and tokens


async def add_credential(
    connection: Connection, id: UUID, kind: Kind, digest: bytes, account: UUID, name: str | None, seconds: float
) -> datetime:
    """Keep a session or token that ends by itself after some seconds; returns when."""
    ends: datetime = await connection.fetchval(
        "INSERT INTO credentials (id, kind, digest, account, name, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) RETURNING expires_at",
        id,
        kind,
        digest,
        account,
        name,
        seconds,
    )
    return ends


async def principals(connection: Connection, digests: Iterable[bytes]) -> dict[bytes, Principal]:
    """Whose secrets these are, by digest; those that are unknown, over or revoked are absent."""
    rows = await connection.fetch(
        "SELECT c.digest, c.id AS credential, c.kind, a.id, a.login, a.person,"
        " extract(epoch FROM c.expires_at - now())::float8 AS lasts"
        " FROM credentials c JOIN accounts a ON a.id = c.account"
        " WHERE c.digest = ANY($1::bytea[]) AND c.expires_at > now()",
        list(digests),
    )
    return {row["digest"]: Principal(_account(row), row["credential"], Kind(row["kind"]), row["lasts"]) for row in rows}


async def living(connection: Connection, credentials: Iterable[UUID]) -> set[UUID]:
    """Those among the given sessions and tokens that still hold."""
    rows = await connection.fetch(
        "SELECT id FROM credentials WHERE id = ANY($1::uuid[]) AND expires_at > now()", list(credentials)
    )
    return {row["id"] for row in rows}


async def remove_credential(connection: Connection, id: UUID) -> bool:
    """Revoke a session or token; every gateway process hears of it once this commits."""
    return bool(await connection.fetchval("DELETE FROM credentials WHERE id = $1 RETURNING true", id))


async def remove_credentials_of(connection: Connection, account: UUID, kind: Kind) -> None:
    """Revoke all sessions, or all tokens, of an account."""
    await connection.execute("DELETE FROM credentials WHERE account = $1 AND kind = $2", account, kind)


async def lock_account(connection: Connection, account: UUID) -> None:
    """Have others that count what this account has wait for this transaction."""
    await connection.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", account)


async def keep_newest(connection: Connection, account: UUID, kind: Kind, most: int) -> None:
    """Revoke the oldest sessions, or tokens, of an account beyond a number."""
    await connection.execute(
        "DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE account = $1 AND kind = $2"
        " ORDER BY created_at DESC, id DESC OFFSET $3)",
        account,
        kind,
        most,
    )


async def count_tokens(connection: Connection, account: UUID) -> int:
    """How many tokens of an account hold."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM credentials WHERE account = $1 AND kind = 'token' AND expires_at > now()", account
    )
    return found


async def tokens(connection: Connection, account: UUID | None, most: int) -> list[StoredToken]:
    """The tokens of an account, or of all when None, newest first."""
    rows = await connection.fetch(
        "SELECT c.id, a.login, c.name, c.created_at, c.expires_at"
        " FROM credentials c JOIN accounts a ON a.id = c.account"
        " WHERE c.kind = 'token' AND c.expires_at > now() AND ($1::uuid IS NULL OR c.account = $1)"
        " ORDER BY c.created_at DESC, c.id DESC LIMIT $2",
        account,
        most,
    )
    return [StoredToken(r["id"], r["login"], r["name"], r["created_at"], r["expires_at"]) for r in rows]


async def token_owner(connection: Connection, id: UUID) -> UUID | None:
    """The account of a token."""
    found: UUID | None = await connection.fetchval(
        "SELECT account FROM credentials WHERE id = $1 AND kind = 'token'", id
    )
    return found


# Attempts to sign in


async def count_attempt(connection: Connection, subject: bytes, window: float) -> tuple[int, float]:
    """Count an attempt unless it comes too early; returns how many the window has seen, and the seconds it is early."""
    row = await connection.fetchrow(
        "INSERT INTO sign_in_attempts AS known (subject, attempts, until)"
        " VALUES ($1, 1, now() + make_interval(secs => $2))"
        " ON CONFLICT (subject) DO UPDATE SET"
        " attempts = CASE WHEN known.free_at > now() THEN known.attempts"
        " WHEN known.until <= now() THEN 1 ELSE known.attempts + 1 END,"
        " until = CASE WHEN known.until <= now() THEN excluded.until ELSE known.until END"
        " RETURNING attempts, coalesce(extract(epoch FROM nullif(old.free_at, '-infinity') - now()), 0)::float8 AS early",
        subject,
        window,
    )
    assert row is not None
    return row["attempts"], max(0.0, row["early"])


async def hold_attempts(connection: Connection, subject: bytes, seconds: float, window: float) -> None:
    """Have the next attempt wait; what has been counted is remembered for a window after that."""
    await connection.execute(
        "UPDATE sign_in_attempts SET free_at = now() + make_interval(secs => $2),"
        " until = greatest(until, now() + make_interval(secs => $2 + $3)) WHERE subject = $1",
        subject,
        seconds,
        window,
    )


async def forgive_attempt(connection: Connection, subject: bytes) -> None:
    """Take back one attempt, and the wait it brought: it was no guess."""
    await connection.execute(
        "UPDATE sign_in_attempts SET attempts = greatest(attempts - 1, 0), free_at = '-infinity' WHERE subject = $1",
        subject,
    )


async def forget_attempts(connection: Connection, subject: bytes) -> None:
    """Begin to count anew: the account's owner has signed in."""
    await connection.execute("DELETE FROM sign_in_attempts WHERE subject = $1", subject)


_OVER = (
    "DELETE FROM credentials WHERE expires_at <= now()",
    "DELETE FROM sign_in_attempts WHERE until <= now()",
    "DELETE FROM sign_in_attempts WHERE subject IN"
    " (SELECT subject FROM sign_in_attempts ORDER BY until DESC OFFSET 1000000)",
    "DELETE FROM used_once WHERE until <= now()",
    "DELETE FROM activation_codes WHERE expires_at <= now()",
)


async def sweep(connection: Connection) -> None:
    """Remove what is over: sessions, tokens, windows of attempts (a million at the most), used states, codes."""
    for statement in _OVER:
        await connection.execute(statement)
