"""The HTTP side of notify: what a person wants to be told, and what they were."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from chassis.audit import Refused
from chassis.database import Connection
from chassis.identity import Caller
from chassis.routes import By, Db, Limit
from contracts.feed import Category
from services.notify.domain import Says, State
from services.notify.store import messages, people
from services.notify.store.people import Preferences

router = APIRouter(prefix="/v1/me")

_MOST_ID = 2**63 - 1


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EmailIn(_Body):
    """Whether anything is sent by e-mail."""

    enabled: StrictBool


class EmailOut(EmailIn):
    """And where to."""

    address: str | None = Field(examples=["m…@exemple.fr"])
    """The address of the directory, masked; null where there is none."""


class Categories(_Body):
    """What a person is told of."""

    grades: StrictBool
    absences: StrictBool
    homework: StrictBool
    news: StrictBool


class NotificationsIn(_Body):
    """What a person wants to be told, how, and in which language."""

    language: Literal["fr", "en"]
    email: EmailIn
    categories: Categories


class NotificationsOut(NotificationsIn):
    """What a person wants to be told; who chose nothing is told all, by e-mail, in French."""

    email: EmailOut


class MessageOut(BaseModel):
    """One message: what it tells, where it stands, and why."""

    id: str
    fact: UUID
    """What it is about, e.g. a grade; messages on one fact follow one another."""
    pupil: UUID
    category: Category
    channel: str
    state: State
    says: Says | None
    """What it tells of the fact; null until it is about to leave."""
    reason: str | None
    """Why it was cancelled or has failed, or what went wrong last."""
    message_id: UUID | None
    """The part of the Message-ID before the `@`."""
    queued_at: datetime
    due_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    """When it was sent, cancelled or failed."""
    attempts: int


class MessagesOut(BaseModel):
    """A page of messages, newest first, and the `before` of the next (null: there is none)."""

    messages: list[MessageOut]
    next: str | None


@router.get("/notifications", operation_id="readNotifications")
async def read_notifications(by: By, database: Db) -> NotificationsOut:
    """What the caller wants to be told, how, and in which language."""
    person = _person(by, "notifications.read")
    async with database.connection() as connection:
        return await _notifications(connection, person)


@router.put("/notifications", operation_id="putNotifications")
async def put_notifications(body: NotificationsIn, by: By, database: Db) -> NotificationsOut:
    """Choose; it counts for what has not been sent yet."""
    person = _person(by, "notifications.write")
    muted = frozenset(Category(name) for name, wanted in body.categories if not wanted)
    async with database.transaction() as connection:
        await people.put_preferences(connection, person, Preferences(body.language, body.email.enabled, muted))
        return await _notifications(connection, person)


@router.get("/messages", operation_id="listMessages")
async def list_messages(
    by: By,
    database: Db,
    before: Annotated[int | None, Query(ge=1, le=_MOST_ID)] = None,
    limit: Limit = 50,
) -> MessagesOut:
    """What was or is to be sent to the caller, newest first; `before` (a page's `next`) pages back."""
    person = _person(by, "messages.read")
    async with database.connection() as connection:
        found = await messages.page(connection, person, before, limit)
    following = str(found[-1].id) if len(found) == limit else None
    return MessagesOut(messages=[_message(one) for one in found], next=following)


def _person(by: Caller, action: str) -> UUID:
    if by.person is None:
        raise Refused(by, action, "me")
    return by.person


async def _notifications(connection: Connection, person: UUID) -> NotificationsOut:
    chosen = (await people.preferences(connection, [person])).get(person, Preferences())
    contact = (await people.contacts(connection, [person])).get(person)
    address = masked(contact.email) if contact and contact.email else None
    language: Literal["fr", "en"] = "en" if chosen.language == "en" else "fr"
    return NotificationsOut(
        language=language,
        email=EmailOut(enabled=chosen.email_enabled, address=address),
        categories=Categories(**{category.value: category not in chosen.muted for category in Category}),
    )


def masked(address: str) -> str:
    """An address as its owner knows it again and a passer-by does not: `m…@exemple.fr`."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}…@{domain}"


def _message(one: messages.Message) -> MessageOut:
    return MessageOut(
        id=str(one.id),
        fact=one.fact,
        pupil=one.pupil,
        category=Category(one.category),
        channel=one.channel,
        state=State(one.state),
        says=Says(one.says) if one.says else None,
        reason=one.reason,
        message_id=one.message_id,
        queued_at=one.queued_at,
        due_at=one.due_at,
        sent_at=one.done_at if one.state == State.SENT else None,
        settled_at=one.done_at,
        attempts=one.attempts,
    )
