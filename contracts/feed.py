"""The feed: what a family sees, in one total order; each record puts or removes one item.

Each generation has a topic of one partition, `feed` the first and `feed-g<n>` the nth: a record's offset is its place in
the stream, and cursors name both. Which generation serves is told on `feed-generations`.
The record key is `<domain>:<key of the cause>` and `ce_sequence` that of the cause, so a repeat is told by both.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import uuid_utils
from pydantic import AwareDatetime, Field

from contracts.directory import Name, Uai
from contracts.envelope import Audience, Contract, Event

TOPIC = "feed"
SOURCE = "/feed"

Scope = Annotated[str, Field(pattern=r"^(pupils|groups|schools)/[0-9A-Za-z-]{1,64}$")]
"""Whom an item is about: `pupils/<id>`, `groups/<id>` or `schools/<uai>`."""

Digits = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,3})?$")]
"""A number from 0 to 9999 with at most three places."""

_ITEMS = uuid_utils.UUID("6a1f6c6e-3d0f-5c3f-9d58-0c8f2f4f7f10")


class Category(StrEnum):
    """What families filter by."""

    GRADES = "grades"
    ABSENCES = "absences"
    HOMEWORK = "homework"
    NEWS = "news"


class Text(Contract):
    """Words for families: French first, English beside it."""

    fr: Annotated[str, Field(max_length=4000)]
    en: Annotated[str, Field(max_length=4000)]


class Score(Contract):
    """A figure that is a number: in plain digits with a point, exact."""

    label: Name
    """What the figure is of, to be shown beside it: the subject."""
    value: Digits
    out_of: Digits


class Coded(Contract):
    """A figure that is none: why there is no score, or why it counts as 0."""

    label: Name
    """What there might have been a figure of: the subject."""
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    """For grades one of `contracts.grades.GradeCode`; who does not know a code shows the title."""


class ItemPut(Event):
    """An item entered the feed, or the item of this id is now this."""

    TYPE: ClassVar[str] = "feed.item.put.v1"

    id: UUID
    scope: Scope
    audience: Audience
    uai: Uai
    school_year: int
    category: Category
    title: Text
    summary: Text
    published_at: AwareDatetime
    """When the fact first became visible: where the item stands in the history."""
    updated_at: AwareDatetime
    corrected: bool = False
    href: Annotated[str, Field(max_length=300)] | None = None
    """Path of the public API where the whole of it is read."""
    figure: Score | Coded | None = None
    """What the title says in figures, for who shows it apart: label and figure then stand for the title."""


class ItemRemoved(Event):
    """The item of this id no longer stands; whoever shows it forgets it."""

    TYPE: ClassVar[str] = "feed.item.removed.v1"

    id: UUID
    scope: Scope
    audience: Audience
    uai: Uai
    category: Category
    updated_at: AwareDatetime


EVENTS: tuple[type[Event], ...] = (ItemPut, ItemRemoved)


def topic_of(generation: int) -> str:
    """The topic of a generation."""
    return TOPIC if generation == 1 else f"{TOPIC}-g{generation}"


def item_id(fact: UUID | str, audience: Audience) -> str:
    """The stable identity of the item that tells one fact to one audience: a UUID as text."""
    return str(uuid_utils.uuid5(_ITEMS, f"{fact}/{audience}"))


def pupil_scope(pupil: UUID | str) -> str:
    """The scope of what concerns one pupil."""
    return f"pupils/{pupil}"


def group_scope(group: UUID | str) -> str:
    """The scope of what concerns a group."""
    return f"groups/{group}"


def school_scope(uai: str) -> str:
    """The scope of what concerns a whole school."""
    return f"schools/{uai}"
