"""View models of what a person is told of and was sent. Pure, like `views`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.feed import Category
from services.portal.answers import Message, MessagesPage, Preferences
from services.portal.client import Me
from services.portal.views import LinkView, moment
from services.portal.words import LANGUAGES, Words

_LONG_AFTER = timedelta(days=300)


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """Something to tick."""

    name: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message in plain words: what, about whom, how it stands, when."""

    category: str
    what: str
    about: str
    state: str
    told: str
    at: str
    when: str
    details: str


@dataclass(frozen=True, slots=True)
class NotificationsView:
    """The whole of the page; `form` is none where preferences cannot be read, `messages` where the list cannot."""

    form: FormView | None
    messages: tuple[MessageView, ...] | None


@dataclass(frozen=True, slots=True)
class FormView:
    """The choices as they stand."""

    languages: tuple[LinkView, ...]
    email: bool
    address: str
    categories: tuple[ChoiceView, ...]


def notifications(
    me: Me, chosen: Preferences | None, sent: MessagesPage | None, words: Words, now: datetime
) -> NotificationsView:
    """The page of what a person is told of."""
    names = {child.id: child.given_name for child in me.children}
    messages = None
    if sent is not None:
        messages = tuple(
            _message(one, names.get(one.pupil, "") if one.pupil else "", words, now) for one in sent.messages
        )
    return NotificationsView(form=_form(chosen, words) if chosen else None, messages=messages)


def _form(chosen: Preferences, words: Words) -> FormView:
    return FormView(
        languages=tuple(
            LinkView(one.lang, one.language, "", one.lang == chosen.language) for one in LANGUAGES.values()
        ),
        email=chosen.email.enabled,
        address=words.email_to.format(address=chosen.email.address) if chosen.email.address else "",
        categories=tuple(
            ChoiceView(one.value, words.category[one], chosen.categories.get(one, True)) for one in Category
        ),
    )


def _message(one: Message, about: str, words: Words, now: datetime) -> MessageView:
    at = one.settled_at or one.sent_at or (one.due_at if one.state == "queued" else None) or one.queued_at
    told = moment(at, words, now) if at <= now else words.message_planned.format(moment=_planned(at, words))
    return MessageView(
        category=one.category,
        what=words.kind[Category(one.category)] if one.category in set(Category) else one.category,
        about=about,
        state=one.state,
        told=words.message_states.get(one.state, one.state),
        at=at.isoformat(),
        when=told,
        details=_details(one, words),
    )


def _planned(at: datetime, words: Words) -> str:
    # As seen from long after, so that it is named by its day and its clock.
    return moment(at, words, at + _LONG_AFTER)


def _details(one: Message, words: Words) -> str:
    parts = [{"email": "e-mail"}.get(one.channel, one.channel)]
    if one.says:
        parts.append(words.message_says.get(one.says, one.says))
    if one.attempts > 1:
        parts.append(words.message_attempts.format(count=one.attempts))
    return " · ".join(parts)
