"""Facts as the feed reads them: an assessment, which a class's facts have in common byte for byte, is read once for all."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, TypeAlias

from pydantic import ValidationError, create_model

from contracts.grades import AssessmentRef, GradeCorrected, GradePublished, GradeWithdrawn

Fact: TypeAlias = GradePublished | GradeCorrected | GradeWithdrawn

_ASSESSMENT, _BEHIND = b'"assessment":', b'},"at":'


def read(kind: type[Fact], value: bytes) -> Fact:
    """The fact that a value tells, as `kind.model_validate_json` reads it; raises pydantic's ValidationError.

    Fields this version does not know are passed over.
    """
    head, _, tail = value.partition(_ASSESSMENT)
    end = tail.find(_BEHIND)
    # Only where it stands as its writer puts it: once, and in nothing else.
    if end >= 0 and head.rfind(b"{") == 0 and _ASSESSMENT not in tail:
        try:
            assessment = _assessment(tail[: end + 1])
            fact: Fact = _without_assessment(kind).model_validate_json(head + tail[end + 2 :], extra="ignore")
        except ValidationError:
            # Read as a whole it tells what is wrong with it, if anything is.
            return kind.model_validate_json(value, extra="ignore")
        # Not by `model_copy`, which costs half of what is saved: nobody else has it yet.
        fact.__dict__["assessment"] = assessment
        return fact
    return kind.model_validate_json(value, extra="ignore")


@lru_cache(maxsize=2_000)
def _assessment(value: bytes) -> AssessmentRef:
    return AssessmentRef.model_validate_json(value, extra="ignore")


@cache
def _without_assessment(kind: type[Any]) -> type[Any]:
    absent: Any = (AssessmentRef | None, None)
    return create_model(kind.__name__, __base__=kind, assessment=absent)
