"""What is published for people and programs: the page of events, the entries behind it, the AsyncAPI document."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from chassis.consumer import Received
from contracts import asyncapi, catalogue, directory, feed, generations, grades
from contracts.catalogue import ENTRIES, EVENTS, MODULES, example
from contracts.envelope import Envelope, from_headers, new_id, to_headers
from infra.topics import TOPICS
from services.feed.domain import CONSUMED
from services.feed.usecases import turner

DOCUMENT = json.loads(asyncapi.published())
MESSAGES = DOCUMENT["components"]["messages"]
SERVICES = catalogue.FOLDER.parent / "services"
OWNERS = {topic.name: topic.owner for topic in TOPICS}


def whole(part: object) -> dict[str, object]:
    """A part of the document as a schema of its own: references find what they name."""
    assert isinstance(part, dict)
    return {**part, "components": DOCUMENT["components"]}


def test_every_event_has_an_entry_and_every_entry_an_event() -> None:
    assert list(ENTRIES) == list(EVENTS)


@pytest.mark.parametrize("event_type", EVENTS)
def test_an_entry_names_the_topic_and_the_services_there_are(event_type: str) -> None:
    entry = ENTRIES[event_type]
    assert entry.producers == (OWNERS[entry.topic],)
    assert entry.event in MODULES[entry.topic].EVENTS
    assert entry.consumers
    assert set(entry.consumers) <= {path.name for path in SERVICES.iterdir()}


def test_every_domain_topic_is_in_the_catalogue() -> None:
    assert set(MODULES) == {name for name in OWNERS if not name.startswith("dlq.")}


@pytest.mark.parametrize("event_type", [kind for kind, entry in ENTRIES.items() if entry.topic != feed.TOPIC])
def test_keys_are_those_the_contracts_make(event_type: str) -> None:
    data, entry = json.loads(example(event_type)), ENTRIES[event_type]
    made = {
        "schools/{uai}": directory.school_key(data.get("uai", "")),
        "groups/{id}": directory.group_key(data.get("id", "")),
        "people/{id}": directory.person_key(data.get("id", "")),
        "pupils/{pupil}": grades.pupil_key(data.get("pupil", "")),
        "beat": directory.BEAT_KEY,
        "serving": generations.KEY,
    }
    assert entry.key.format_map(data) == made[entry.key]


@pytest.mark.parametrize("cause", CONSUMED)
def test_items_have_the_key_and_subject_their_entries_say(cause: str) -> None:
    data, fact = example(cause), ENTRIES[cause]
    key = fact.key.format_map(json.loads(data))
    envelope = Envelope(id=new_id(), type=cause, source=grades.SOURCE, subject=key, key=key, time=datetime.now(UTC))
    told = turner(1)(Received(envelope, data, SimpleNamespace(headers=to_headers(envelope))))
    assert told is not None
    made, item = from_headers(told.headers, told.key), json.loads(told.value or b"")
    entry = ENTRIES[made.type]
    assert told.topic == entry.topic
    assert made.key == entry.key.format_map(item)
    assert made.subject == entry.subject.format_map(item)


def test_the_feed_consumes_what_its_entries_say() -> None:
    assert set(CONSUMED) == {
        kind for kind, entry in ENTRIES.items() if entry.topic == grades.TOPIC and "feed" in entry.consumers
    }


def test_the_committed_page_is_the_one_that_would_be_written() -> None:
    assert catalogue.PAGE.read_text("utf-8") == catalogue.page(), "run: python -m contracts.catalogue"


def test_the_page_is_not_written_when_a_schema_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "PAGE", tmp_path / "events.md")
    monkeypatch.setattr(catalogue, "publish", lambda: 1)
    assert catalogue.main() == 1
    assert not catalogue.PAGE.exists()


def test_the_document_is_asyncapi_3() -> None:
    read = ApplicationSchema.model_validate(DOCUMENT)
    assert set(read.channels) == set(MODULES)
    assert set(MESSAGES) == set(EVENTS)


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', asyncapi.published().decode()):
        part = DOCUMENT
        for name in reference.split("/"):
            part = part[name]


@pytest.mark.parametrize("event_type", EVENTS)
def test_a_message_has_a_channel_and_its_example_is_valid(event_type: str) -> None:
    message = MESSAGES[event_type]
    channel = DOCUMENT["channels"][ENTRIES[event_type].topic]
    assert channel["messages"][event_type] == {"$ref": f"#/components/messages/{event_type}"}
    (golden,) = message["examples"]
    jsonschema.Draft202012Validator(whole(message["payload"])).validate(golden["payload"])
    jsonschema.Draft202012Validator(whole(message["headers"])).validate(golden["headers"])
    key = message["bindings"]["kafka"]["key"]
    jsonschema.Draft202012Validator(key).validate(key["examples"][0])


def test_the_headers_described_are_those_that_travel() -> None:
    described = DOCUMENT["components"]["schemas"]["Attributes"]
    least = Envelope(id=new_id(), type="t", source="/s", subject="s", key="k", time=datetime.now(UTC))
    most = Envelope(
        id=new_id(), type="t", source="/s", subject="s", key="k", time=datetime.now(UTC), uai="0921234S",
        audience="staff", directory_position=1, sequence=1, traceparent="00-1-1-01", replay=True,
        replay_for="feed-2",
    )  # fmt: skip
    assert [name for name, _ in to_headers(least)] == described["required"]
    assert {name for name, _ in to_headers(most)} == set(described["properties"])
    jsonschema.Draft202012Validator(described).validate({name: value.decode() for name, value in to_headers(most)})
