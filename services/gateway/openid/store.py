"""Every SQL statement about identities at providers, and sessions that rest on them."""

from __future__ import annotations

from uuid import UUID

from chassis.database import Connection
from services.gateway.domain import Account
from services.gateway.openid.identity import Identity


async def account_of(connection: Connection, issuer: str, subject: str) -> Account | None:
    """The account that an identity is linked to."""
    row = await connection.fetchrow(
        "SELECT a.id, a.login, a.person FROM external_identities e JOIN accounts a ON a.id = e.account"
        " WHERE e.issuer = $1 AND e.subject = $2",
        issuer,
        subject,
    )
    return None if row is None else Account(row["id"], row["login"], row["person"])


async def link(connection: Connection, issuer: str, subject: str, account: UUID) -> bool:
    """Link an identity to an account; False when it is linked to another."""
    linked: UUID = await connection.fetchval(
        "INSERT INTO external_identities AS known (issuer, subject, account) VALUES ($1, $2, $3)"
        " ON CONFLICT (issuer, subject) DO UPDATE SET account = known.account RETURNING account",
        issuer,
        subject,
        account,
    )
    return linked == account


async def vouch(connection: Connection, credential: UUID, identity: Identity) -> None:
    """Remember by which sign-in at the provider a session was opened."""
    await connection.execute(
        "INSERT INTO external_sessions (credential, issuer, subject, sid, id_token) VALUES ($1, $2, $3, $4, $5)",
        credential,
        identity.issuer,
        identity.subject,
        identity.session,
        identity.token,
    )


async def vouched(connection: Connection, credential: UUID) -> tuple[str, str | None] | None:
    """The issuer that vouched for a session, and its ID token; None for a session that no provider vouched for."""
    row = await connection.fetchrow("SELECT issuer, id_token FROM external_sessions WHERE credential = $1", credential)
    return None if row is None else (row["issuer"], row["id_token"])


async def end_sessions(connection: Connection, issuer: str, subject: str | None, session: str | None) -> None:
    """End the sessions that rest on a provider's session, or on all of a subject's; every process hears of it."""
    await connection.execute(
        "DELETE FROM credentials WHERE id IN (SELECT credential FROM external_sessions WHERE issuer = $1"
        " AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR sid = $3))",
        issuer,
        subject,
        session,
    )


async def use_once(connection: Connection, digest: bytes, seconds: float) -> bool:
    """Use up what may be used once; False when it was used before. It is remembered for so many seconds."""
    return bool(
        await connection.fetchval(
            "INSERT INTO used_once (digest, until) VALUES ($1, now() + make_interval(secs => $2))"
            " ON CONFLICT (digest) DO NOTHING RETURNING true",
            digest,
            seconds,
        )
    )
