"""The published language as an AsyncAPI 3.0 document: topics, the events on each, their headers, keys and examples."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from contracts.catalogue import ENTRIES, EVENTS, MODULES, Entry, example
from contracts.envelope import Audience, Envelope, schema_path, to_headers

_KAFKA = "0.5.0"
_MOMENT = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)

Document = dict[str, Any]

_ATTRIBUTES: dict[str, Document] = {
    "content-type": {"const": "application/json"},
    "ce_specversion": {"const": "1.0"},
    "ce_id": {"description": "Identity of the event: a repeat has the same.", "format": "uuid"},
    "ce_type": {"description": "What happened; names the schema of the data."},
    "ce_source": {"description": "The domain that says so."},
    "ce_subject": {"description": "The entity it is about."},
    "ce_time": {"description": "When it was said.", "format": "date-time"},
    "ce_dataschema": {"description": "Where the JSON Schema of the data is served.", "format": "uri-reference"},
    "ce_uai": {"description": "The school concerned, where it is one.", "pattern": "^[0-9]{7}[A-Z]$"},
    "ce_audience": {"description": "Who may see it; absent from what services alone read.", "enum": list(Audience)},
    "ce_directoryposition": {
        "description": "How far the writer's replica of the directory had come when it decided.",
        "pattern": "^[0-9]+$",
    },
    "ce_sequence": {
        "description": "Grows per source and key; a reader passes over what is not greater.",
        "pattern": "^[0-9]+$",
    },
    "ce_replay": {"description": "Said before, and said again at an operator's wish: no news.", "const": "true"},
    "ce_replayfor": {
        "description": "Who a replay is for; everybody else passes it over.",
        "pattern": "^[a-z]+-[0-9]+$",
    },
    "traceparent": {"description": "W3C trace context of the cause."},
}
"""Every header a record may have; all are text."""

_ALWAYS = (
    *("content-type", "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_dataschema"),
)


@cache
def published() -> bytes:
    """The document as it is served; made once a process."""
    return json.dumps(document(), ensure_ascii=False).encode()


def document() -> Document:
    """The whole document."""
    models = [(event, "serialization") for event in EVENTS.values()]
    named, defined = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    payloads = {event.TYPE: named[event, "serialization"] for event in EVENTS.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Préau's events",
            "version": "1",
            "description": "CloudEvents 1.0 in Kafka's binary mode. A type never changes meaning; a change that would break "
            "a reader is a new type. Readers pass over fields they don't know.",
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic) for topic in MODULES},
        "operations": {f"publish-{topic}": _operation(topic) for topic in MODULES},
        "components": {
            "messages": {kind: _message(entry, payloads[kind]) for kind, entry in ENTRIES.items()},
            "schemas": {**defined["$defs"], "Attributes": _attributes()},
        },
    }


def _channel(topic: str) -> Document:
    return {
        "address": topic,
        "description": inspect.getdoc(MODULES[topic]),
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in _on(topic)},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": _KAFKA}},
    }


def _operation(topic: str) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{kind}"} for kind in _on(topic)],
    }


def _on(topic: str) -> list[str]:
    return [kind for kind, entry in ENTRIES.items() if entry.topic == topic]


def _message(entry: Entry, payload: Document) -> Document:
    kind = entry.event.TYPE
    says = inspect.getdoc(entry.event) or ""
    data = json.loads(example(kind))
    return {
        "name": kind,
        "title": entry.event.__name__,
        "summary": says.partition("\n")[0],
        "description": f"{says}\n\nFires: {entry.fires}\n\nAudience: {entry.audience}.",
        "contentType": "application/json",
        "headers": {
            "allOf": [{"$ref": "#/components/schemas/Attributes"}],
            "properties": {
                "ce_type": {"const": kind},
                "ce_source": {"const": MODULES[entry.topic].SOURCE},
                "ce_dataschema": {"const": schema_path(kind)},
            },
        },
        "payload": payload,
        "bindings": {"kafka": {"key": _key(entry, data), "bindingVersion": _KAFKA}},
        "examples": [{"name": "golden", "headers": example_headers(entry, data), "payload": data}],
        "x-producers": list(entry.producers),
        "x-consumers": list(entry.consumers),
    }


def _key(entry: Entry, data: Document) -> Document:
    pattern = re.sub(r"\{\w+\}", ".+", entry.key)
    return {
        "type": "string",
        "description": f"`{entry.key}`: order holds within a key.",
        "pattern": f"^{pattern}$",
        "examples": [entry.key.format_map(data)],
    }


def example_headers(entry: Entry, data: Document) -> dict[str, str]:
    """The headers with which an event's example would travel."""
    envelope = Envelope(
        id="01a209e0-7c00-7000-8000-000000000001",
        type=entry.event.TYPE,
        source=MODULES[entry.topic].SOURCE,
        subject=entry.subject.format_map(data),
        key=entry.key.format_map(data),
        time=_MOMENT,
        uai=data.get("uai"),
        audience=data.get("audience"),
    )
    return {name: value.decode() for name, value in to_headers(envelope)}


def _attributes() -> Document:
    return {
        "type": "object",
        "title": "CloudEvents attributes",
        "required": list(_ALWAYS),
        "properties": {name: {"type": "string", **rules} for name, rules in _ATTRIBUTES.items()},
    }
