"""The published language: schemas committed and true, examples valid, no change that would break a reader."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contracts import catalogue
from contracts.catalogue import EVENTS, breaking_changes, committed_schema, example, schema

GRADE = "grades.grade.published.v1"


@pytest.mark.parametrize("event_type", EVENTS)
def test_the_committed_schema_is_that_of_the_model(event_type: str) -> None:
    assert committed_schema(event_type) == schema(event_type), "run: python -m contracts.catalogue"


@pytest.mark.parametrize("event_type", EVENTS)
def test_the_golden_example_reads_validates_and_comes_out_the_same(event_type: str) -> None:
    raw = example(event_type)
    read = EVENTS[event_type].model_validate_json(raw)
    assert json.loads(read.model_dump_json()) == json.loads(raw)
    jsonschema.Draft202012Validator(committed_schema(event_type)).validate(json.loads(raw))


def test_no_schema_or_example_is_left_over() -> None:
    for folder in ("schemas", "examples"):
        assert {path.stem for path in (catalogue.FOLDER / folder).glob("*.json")} == set(EVENTS)


@pytest.mark.parametrize("event_type", EVENTS)
def test_a_field_of_the_future_is_tolerated_by_readers_and_refused_to_writers(event_type: str) -> None:
    future = json.loads(example(event_type)) | {"from_the_future": 1}
    kind = EVENTS[event_type]
    kind.model_validate_json(json.dumps(future), extra="ignore")
    with pytest.raises(ValueError, match="from_the_future"):
        kind.model_validate_json(json.dumps(future))


def _lost_field(new: dict[str, Any]) -> None:
    del new["properties"]["pupil"]


def _now_optional(new: dict[str, Any]) -> None:
    new["required"].remove("mark")


def _other_type(new: dict[str, Any]) -> None:
    new["$defs"]["AssessmentRef"]["properties"]["title"]["type"] = "integer"


def _new_value(new: dict[str, Any]) -> None:
    new["$defs"]["Audience"]["enum"].append("everyone")


def _new_alternative(new: dict[str, Any]) -> None:
    new["$defs"]["Mark"]["properties"]["comment"]["anyOf"].append({"type": "integer"})


@pytest.mark.parametrize("change", [_lost_field, _now_optional, _other_type, _new_value, _new_alternative])
def test_a_change_that_breaks_readers_is_found(change: Any) -> None:
    new = copy.deepcopy(schema(GRADE))
    change(new)
    assert breaking_changes(schema(GRADE), new)


def test_a_new_field_breaks_nobody() -> None:
    new = copy.deepcopy(schema(GRADE))
    new["properties"]["more"] = {"type": "string"}
    new["required"].append("more")
    assert breaking_changes(schema(GRADE), new) == []


def test_publishing_refuses_a_breaking_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    assert catalogue.publish() == 0
    older = tmp_path / "schemas" / f"{GRADE}.json"
    text = json.loads(older.read_text("utf-8"))
    text["properties"]["gone"] = {"type": "string"}
    older.write_text(json.dumps(text), "utf-8")
    assert catalogue.publish() == 1
