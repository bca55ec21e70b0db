"""From a domain's fact to the feed's item: whom it is for, what it says, what it replaces. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from contracts.envelope import Envelope, Event
from contracts.feed import Category, ItemPut, ItemRemoved, item_id, pupil_scope
from contracts.grades import GradeCode, GradeCorrected, GradePublished, GradeWithdrawn, Mark
from services.feed.facts import read
from wording import grades as wording

CONSUMED: dict[str, type[GradePublished] | type[GradeCorrected] | type[GradeWithdrawn]] = {
    kind.TYPE: kind for kind in (GradePublished, GradeCorrected, GradeWithdrawn)
}
"""The event types that become items; a type this version does not know becomes none."""


# As plain text, here and below: a member of an enumeration takes four times as long to write as JSON.
_CATEGORY = Category.GRADES.value


class Item(NamedTuple):
    """An item of the feed: which event tells it, and what that says, by field.

    All of it is made of what was validated as the fact's, so it is not validated again.
    """

    event: type[Event]
    fields: dict[str, Any]


def item_of(envelope: Envelope, value: bytes) -> Item | None:
    """What an event puts into or removes from the feed; None where it is none of the feed's business.

    Raises pydantic's ValidationError for data that break the contract. Fields this version does not know are passed over.
    """
    kind = CONSUMED.get(envelope.type)
    if kind is None:
        return None
    fact = read(kind, value)
    if isinstance(fact, GradePublished):
        return _put(fact, fact.mark, None)
    if isinstance(fact, GradeCorrected):
        return _put(fact, fact.new, fact)
    fields = {
        "id": item_id(fact.grade, fact.audience),
        "scope": pupil_scope(fact.pupil),
        "audience": fact.audience.value,
        "uai": fact.uai,
        "category": _CATEGORY,
        "updated_at": fact.at,
    }
    return Item(ItemRemoved, fields)


def _put(fact: GradePublished | GradeCorrected, mark: Mark, correction: GradeCorrected | None) -> Item:
    scope, of = pupil_scope(fact.pupil), fact.assessment
    french, english = wording.grade_summary(of, mark, correction.old if correction else None)
    title, figure = _title(of.subject.label, mark.score, mark.code, of.out_of)
    fields = {
        "id": item_id(fact.grade, fact.audience),
        "scope": scope,
        "audience": fact.audience.value,
        "uai": fact.uai,
        "school_year": of.school_year,
        "category": _CATEGORY,
        "title": title,
        "summary": {"fr": french, "en": english},
        "published_at": correction.first_published_at if correction else fact.at,
        "updated_at": fact.at,
        "corrected": correction is not None,
        "href": f"/v1/{scope}/grades",
        "figure": figure,
    }
    return Item(ItemPut, fields)


@lru_cache(maxsize=10_000)
def _title(
    label: str, score: Decimal | None, code: GradeCode | None, out_of: Decimal
) -> tuple[dict[str, str], dict[str, str]]:
    """The title of a grade's item, in words and in figures. Remembered: a class gets few marks."""
    french, english = wording.grade_title(label, Mark(score=score, code=code), out_of)
    title = {"fr": french, "en": english}
    if code is not None:
        return title, {"label": label, "code": code.value}
    assert score is not None
    return title, {"label": label, "value": wording.digits(score), "out_of": wording.digits(out_of)}
