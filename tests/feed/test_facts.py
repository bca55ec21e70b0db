"""Facts read with their assessments read once: the same as read whole, whatever they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.catalogue import example
from contracts.grades import GradeCorrected, GradePublished, GradeWithdrawn
from services.feed.facts import read

KINDS: tuple[Any, ...] = (GradePublished, GradeCorrected, GradeWithdrawn)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("assessment", "at", "x")), inner),
    max_leaves=5,
)


def compact(kind: Any) -> Any:
    return kind.model_validate_json(example(kind.TYPE)).model_dump(mode="json")


def told(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def outcome(reader: Any, value: bytes) -> Any:
    try:
        return reader(value).model_dump()
    except ValidationError as error:
        return [(one["loc"], one["type"]) for one in error.errors()]


def whole(kind: Any) -> Any:
    return lambda value: kind.model_validate_json(value, extra="ignore")


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_an_assessment_share_it(kind: Any) -> None:
    one, other = compact(kind), compact(kind) | {"pupil": "2282bd15-4bc5-5882-ab79-25e9d099d930"}
    first, second = read(kind, told(one)), read(kind, told(other))
    assert first.assessment is second.assessment
    assert first.pupil != second.pupil
    assert isinstance(first, kind)
    assert first.model_dump() == whole(kind)(told(one)).model_dump()


@given(st.data(), st.sampled_from(KINDS))
def test_what_is_wrong_is_told_as_if_read_whole(data: st.DataObject, kind: Any) -> None:
    fact = compact(kind)
    part = data.draw(st.sampled_from((fact, fact["assessment"])))
    name = data.draw(st.sampled_from((*part, "x")))
    changed = data.draw(st.just({}) | st.builds(lambda value: {name: value}, junk))
    left = {key: value for key, value in part.items() if changed or key != name}
    part.clear()
    # An unknown field stands before all others or behind them.
    part.update(changed | left | changed if data.draw(st.booleans()) else left | changed)
    value = told(fact)
    value = value[: data.draw(st.just(len(value)) | st.integers(0, len(value)))]
    assert outcome(lambda given: read(kind, given), value) == outcome(whole(kind), value)
