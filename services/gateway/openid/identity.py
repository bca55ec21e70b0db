"""Who a provider says has signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST_HINT = 2000


@dataclass(frozen=True, slots=True)
class Identity:
    """(issuer, subject) is one person's for ever; `session` and `token` are what the provider's logout is told."""

    provider: str
    issuer: str
    subject: str
    session: str | None = None
    token: str | None = None

    def kept(self) -> dict[str, str | None]:
        """As sealed into a cookie, without a token that would not fit."""
        token = self.token if self.token is not None and len(self.token) <= _LONGEST_HINT else None
        return {
            "provider": self.provider, "issuer": self.issuer, "subject": self.subject,
            "session": self.session, "token": token,
        }  # fmt: skip

    @classmethod
    def from_kept(cls, values: Mapping[str, str | None]) -> Identity:
        """The identity a cookie held."""
        provider, issuer, subject = (values[name] or "" for name in ("provider", "issuer", "subject"))
        return cls(provider, issuer, subject, values["session"], values["token"])


class SignInFailed(Exception):
    """A sign-in with a provider came to nothing; `reason` names the sentence that the sign-in page shows.

    `refused`: the person or the provider said no. `unavailable`: the provider can't be had now. `invalid`: it said
    what can't be believed. `expired`: it took too long, was used already, or began in another browser.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
