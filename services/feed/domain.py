"""From a domain's fact to the feed's item: whom it is for, what it says, what it replaces. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from contracts.envelope import Envelope, Event
from contracts.feed import Category, Coded, ItemPut, ItemRemoved, Score, item_id, pupil_scope
from contracts.grades import GradeCode, GradeCorrected, GradePublished, GradeWithdrawn, Mark
from wording import grades as wording

CONSUMED: dict[str, type[GradePublished] | type[GradeCorrected] | type[GradeWithdrawn]] = {
    kind.TYPE: kind for kind in (GradePublished, GradeCorrected, GradeWithdrawn)
}
"""The event types that become items; a type this version does not know becomes none."""


def item_of(envelope: Envelope, value: bytes) -> Event | None:
    """What an event puts into or removes from the feed; None where it is none of the feed's business.

    Raises pydantic's ValidationError for data that break the contract. Fields this version does not know are passed over.
    """
    kind = CONSUMED.get(envelope.type)
    if kind is None:
        return None
    fact = kind.model_validate_json(value, extra="ignore")
    if isinstance(fact, GradePublished):
        return _put(fact, fact.mark, None)
    if isinstance(fact, GradeCorrected):
        return _put(fact, fact.new, fact)
    return ItemRemoved(
        id=item_id(fact.grade, fact.audience),
        scope=pupil_scope(fact.pupil),
        audience=fact.audience,
        uai=fact.uai,
        category=Category.GRADES,
        updated_at=fact.at,
    )


def _put(fact: GradePublished | GradeCorrected, mark: Mark, correction: GradeCorrected | None) -> ItemPut:
    scope = pupil_scope(fact.pupil)
    return ItemPut(
        id=item_id(fact.grade, fact.audience),
        scope=scope,
        audience=fact.audience,
        uai=fact.uai,
        school_year=fact.assessment.school_year,
        category=Category.GRADES,
        title=wording.grade_title(fact.assessment, mark),
        summary=wording.grade_summary(fact.assessment, mark, correction.old if correction else None),
        published_at=correction.first_published_at if correction else fact.at,
        updated_at=fact.at,
        corrected=correction is not None,
        href=f"/v1/{scope}/grades",
        figure=_figure(fact.assessment.subject.label, mark.score, mark.code, fact.assessment.out_of),
    )


@lru_cache(maxsize=10_000)
def _figure(label: str, score: Decimal | None, code: GradeCode | None, out_of: Decimal) -> Score | Coded:
    """Remembered: a class gets few marks."""
    if code is not None:
        return Coded(label=label, code=code.value)
    assert score is not None
    return Score(label=label, value=wording.digits(score), out_of=wording.digits(out_of))
