"""What clients send to the gateway's own endpoints, and what they get."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chassis.http import CleanText
from services.gateway.domain import Account
from services.gateway.usecases import LONGEST_TOKEN

_DAY = 86_400

Login = Annotated[CleanText, Field(min_length=1, max_length=255)]
Password = Annotated[str, Field(min_length=8, max_length=1024)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignIn(_Body):
    """Who signs in."""

    login: Login
    password: Annotated[str, Field(max_length=1024)]


class NewAccount(_Body):
    """An account of a person of the directory; without a person, an operator's."""

    login: Login
    password: Password
    person: UUID | None = None


class NewPassword(_Body):
    """The password an account has from now on."""

    password: Password


class NewToken(_Body):
    """A token for a program; `account` is a login, one's own when absent; `expires_in` is in seconds."""

    account: Login | None = None
    name: Annotated[CleanText, Field(min_length=1, max_length=100)]
    expires_in: Annotated[int, Field(ge=60, le=int(LONGEST_TOKEN))] = 90 * _DAY


class NewActivationCodes(_Body):
    """Who gets an activation code: one person, or all of a class."""

    people: Annotated[list[UUID], Field(min_length=1, max_length=100)]


class ChosenLogin(_Body):
    """The login and the password somebody chose."""

    login: Login
    password: Password


class Activation(_Body):
    """An activation code as it was typed; `own` is absent where a provider has just said who somebody is."""

    code: Annotated[CleanText, Field(min_length=1, max_length=64)]
    own: ChosenLogin | None = None


class ActivationCodeAnswer(BaseModel):
    """A person's activation code: told now and never again."""

    person: UUID
    code: str
    expires_at: AwareDatetime


class ActivationCodesAnswer(BaseModel):
    """Codes in the order they were asked for."""

    items: list[ActivationCodeAnswer]


class LabelAnswer(BaseModel):
    """A provider's name in both languages."""

    fr: str
    en: str


class ProviderAnswer(BaseModel):
    """A provider people may sign in with, at `/v1/sign-in/{name}`."""

    name: str
    label: LabelAnswer


class ProvidersAnswer(BaseModel):
    """Providers; `pending` names the one that has just named this browser's visitor, whom nobody here knows yet."""

    items: list[ProviderAnswer]
    pending: str | None


class SignOutAnswer(BaseModel):
    """The session is over here; a browser that goes to `end_session` ends it at the provider too."""

    end_session: str


class AccountAnswer(BaseModel):
    """An account as told to clients."""

    login: str
    person: UUID | None


def account_answer(account: Account) -> AccountAnswer:
    """An account as told to clients."""
    return AccountAnswer(login=account.login, person=account.person)


class SessionAnswer(BaseModel):
    """A session that was opened; its secret is in the cookie alone."""

    account: AccountAnswer
    expires_at: AwareDatetime


class TokenAnswer(BaseModel):
    """A token as listed; the secret itself is told once, when it is made."""

    id: UUID
    account: str
    name: str
    created_at: AwareDatetime
    expires_at: AwareDatetime


class TokensAnswer(BaseModel):
    """Tokens, newest first."""

    items: list[TokenAnswer]


class IssuedToken(BaseModel):
    """A new token: `token` is told now and never again."""

    id: UUID
    token: str
    expires_at: AwareDatetime
