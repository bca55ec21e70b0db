"""Making activation codes and using them; each function takes the transaction and never commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from chassis.database import Connection
from chassis.problems import FieldError, Problem, invalid
from contracts.envelope import new_id
from services.gateway import store as accounts
from services.gateway.activation import rights, store
from services.gateway.activation.codes import new_code, typed
from services.gateway.domain import Account, fold
from services.gateway.openid import store as identities
from services.gateway.openid.identity import Identity
from services.gateway.seals import Seals
from services.gateway.usecases import add_account, login_taken


@dataclass(frozen=True, slots=True)
class MadeCode:
    """A person's new code, told once."""

    person: UUID
    code: str


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """The login somebody chose, and the hash of their password."""

    login: str
    password_hash: str


async def make_codes(
    connection: Connection, by: Account, people: Sequence[UUID], seals: Seals, seconds: float
) -> tuple[list[MadeCode], datetime]:
    """Make each person a code, good for so many seconds, and end their former one; all or nothing."""
    refused = await rights.refused(connection, by.person, people, datetime.now(UTC))
    if refused is None:
        raise Problem(403, "forbidden", "Not allowed")
    if refused:
        message = "is nobody for whom you may make a code"
        raise invalid(FieldError(f"people.{n}", "unknown", message) for n, one in enumerate(people) if one in refused)
    made = [MadeCode(one, new_code()) for one in people]
    kept = [(one.person, seals.code_digest(typed(one.code) or "")) for one in made]
    return made, await store.put_codes(connection, kept, by.subject, seconds)


async def person_of(connection: Connection, code: str, seals: Seals) -> UUID:
    """Whose code this is, which is used up now; a 422 `Problem` for one that does not hold."""
    known = typed(code)
    person = await store.use_code(connection, seals.code_digest(known)) if known else None
    if person is None:
        raise wrong_code()
    return person


def wrong_code() -> Problem:
    """The answer to a code that is unknown, used or over, without telling which."""
    errors = [FieldError("code", "unknown", "is unknown, used or over")]
    return Problem(422, "wrong-code", "This activation code does not hold", errors=errors)


async def with_login(connection: Connection, person: UUID, own: OwnLogin) -> Account:
    """The account of a person, with the login they chose; 409 when the login is another's or they have one already."""
    found = await accounts.account_of(connection, person)
    if found is None:
        return await add_account(connection, own.login, own.password_hash, person)
    account, password = found
    if password is not None:
        raise Problem(409, "has-account", "This person has a login already")
    if not await accounts.give_login(connection, account, own.login, fold(own.login), own.password_hash):
        raise login_taken()
    return Account(account.id, own.login, person)


async def with_identity(connection: Connection, person: UUID, identity: Identity) -> Account:
    """The account of a person, linked to who a provider says they are; 409 when that is somebody already."""
    found = await accounts.account_of(connection, person)
    account = found[0] if found else await _without_login(connection, person)
    if not await identities.link(connection, identity.issuer, identity.subject, account.id):
        raise Problem(409, "identity-taken", "This identity belongs to another account")
    return account


async def _without_login(connection: Connection, person: UUID) -> Account:
    account = Account(UUID(new_id()), f"openid-{person}", person)
    if not await accounts.add_account(connection, account, fold(account.login), None):
        raise login_taken()
    return account
