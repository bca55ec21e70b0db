"""What the front door does with accounts, sessions and tokens; each takes the transaction and never commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.database import Connection
from chassis.problems import FieldError, Problem, invalid, not_found
from contracts.envelope import new_id
from services.gateway import attempts, store
from services.gateway.activation.store import remove_code
from services.gateway.domain import Account, Kind, digest, fold, new_secret

OPERATOR = "operator"
_DAY = 86_400.0
MOST_TOKENS = 50
MOST_SESSIONS = 20
LONGEST_TOKEN = 366 * _DAY


@dataclass(frozen=True, slots=True)
class Issued:
    """A new session or token; `secret` is told once and never again."""

    id: UUID
    secret: str
    expires_at: datetime


async def bootstrap_operator(connection: Connection, login: str = OPERATOR) -> str:
    """Make the operator's account if it is absent, and a token of a year for it; returns the token."""
    await store.add_account(connection, Account(UUID(new_id()), login, None), fold(login), None)
    known = await store.account(connection, fold(login))
    assert known is not None
    if not known[0].operator:
        raise ValueError(f"the account {login} belongs to a person")
    return (await _issue(connection, Kind.TOKEN, known[0].id, "bootstrap", 365 * _DAY)).secret


async def add_account(connection: Connection, login: str, password_hash: str, person: UUID | None) -> Account:
    """Make an account of a person, or of an operator when `person` is None; a 409 `Problem` when the login is taken."""
    account = Account(UUID(new_id()), login, person)
    if not await store.add_account(connection, account, fold(login), password_hash):
        raise login_taken()
    if person is not None:
        # A code made for who had no account must not open the one they have now.
        await remove_code(connection, person)
    return account


def login_taken() -> Problem:
    """The answer to a login that is another's."""
    return Problem(409, "login-taken", "This login is taken", errors=[FieldError("login", "unique", "is taken")])


async def change_password(connection: Connection, login: str, password_hash: str) -> None:
    """Replace a password; whoever was signed in has to sign in again."""
    account = await _known(connection, login)
    await store.set_password(connection, account.id, password_hash)
    await store.remove_credentials_of(connection, account.id, Kind.SESSION)
    await store.forget_attempts(connection, attempts.of_account(login))


async def remove_account(connection: Connection, login: str) -> None:
    """Remove an account; its sessions and tokens end with it."""
    if not await store.remove_account(connection, fold(login)):
        raise not_found()


async def _known(connection: Connection, login: str) -> Account:
    found = await store.account(connection, fold(login))
    if found is None:
        raise not_found()
    return found[0]


async def open_session(connection: Connection, account: Account, replaced: UUID | None, seconds: float) -> Issued:
    """Open a session for who has proved to be this account; the session they came with ends."""
    if replaced:
        await store.remove_credential(connection, replaced)
    issued = await _issue(connection, Kind.SESSION, account.id, None, seconds)
    await store.keep_newest(connection, account.id, Kind.SESSION, MOST_SESSIONS)
    return issued


async def issue_token(connection: Connection, by: Account, login: str | None, name: str, seconds: float) -> Issued:
    """Make a token: an operator for any account, a person for their own."""
    owner = by
    if login is not None and fold(login) != fold(by.login):
        if not by.operator:
            raise not_found()
        owner = await _known(connection, login)
    await store.lock_account(connection, owner.id)
    if await store.count_tokens(connection, owner.id) >= MOST_TOKENS:
        raise invalid([FieldError("account", "limit", f"has {MOST_TOKENS} tokens already")])
    return await _issue(connection, Kind.TOKEN, owner.id, name, seconds)


async def revoke_token(connection: Connection, by: Account, id: UUID) -> None:
    """Revoke a token: an operator any, a person their own."""
    owner = await store.token_owner(connection, id)
    if owner is None or not (by.operator or owner == by.id):
        raise not_found()
    await store.remove_credential(connection, id)


async def _issue(connection: Connection, kind: Kind, account: UUID, name: str | None, seconds: float) -> Issued:
    id, secret = UUID(new_id()), new_secret(kind)
    ends = await store.add_credential(connection, id, kind, digest(secret), account, name, seconds)
    return Issued(id, secret, ends)
