"""The envelope of every event: CloudEvents 1.0 in Kafka's binary mode."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, NamedTuple

import uuid_utils.compat as uuid_utils
from pydantic import BaseModel, ConfigDict

Header = tuple[str, bytes]


class Audience(StrEnum):
    """Who an event is visible to; an event has one audience and none sees another's."""

    PUPILS = "pupils"
    GUARDIANS = "guardians"
    STAFF = "staff"


class Contract(BaseModel):
    """Base of every published model: frozen, strict types, unknown fields refused when we produce."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_temporal="iso8601")


class Event(Contract):
    """A fact in the past tense; `TYPE` is its CloudEvents type and never changes meaning."""

    TYPE: ClassVar[str]


class Envelope(NamedTuple):
    """The CloudEvents attributes of one event.

    `key` is the Kafka record key: the entity within which order matters. `sequence` (the outbox id) grows per
    source and key; the relay sets it. `directory_position` is how far the writer's replica of the directory
    had come when it decided. `audience` and `uai` let consumers filter without parsing the body. A `replay` says again
    what was said before: it is no news, and only who asked for it (`replay_for`) takes it in.
    """

    id: str
    type: str
    source: str
    subject: str
    key: str
    time: datetime
    uai: str | None = None
    audience: str | None = None
    directory_position: int | None = None
    sequence: int | None = None
    traceparent: str | None = None
    replay: bool = False
    replay_for: str | None = None


class BadEnvelope(ValueError):
    """A record whose headers are not those of one of our events; the message names the attribute."""


def new_id() -> str:
    """A fresh event or entity id: UUIDv7 (RFC 9562), so that ids sort by time."""
    return str(uuid_utils.uuid7())


def schema_path(event_type: str) -> str:
    """Where the gateway serves the JSON Schema of a type; the value of `ce_dataschema`."""
    return f"/v1/schemas/{event_type}"


_OPTIONAL = (
    ("ce_uai", "uai"),
    ("ce_audience", "audience"),
    ("traceparent", "traceparent"),
    ("ce_replayfor", "replay_for"),
)


def to_headers(envelope: Envelope) -> list[Header]:
    """The Kafka headers of an event (CloudEvents Kafka binding, section 3.2)."""
    headers: list[Header] = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", envelope.time.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("ce_dataschema", schema_path(envelope.type).encode()),
    ]
    for name, attribute in _OPTIONAL:
        value = getattr(envelope, attribute)
        if value is not None:
            headers.append((name, value.encode()))
    if envelope.directory_position is not None:
        headers.append(("ce_directoryposition", b"%d" % envelope.directory_position))
    if envelope.sequence is not None:
        headers.append(("ce_sequence", b"%d" % envelope.sequence))
    if envelope.replay:
        headers.append(("ce_replay", b"true"))
    return headers


def following(headers: Iterable[Header], event_type: str, source: str) -> list[Header]:
    """The Kafka headers of an event that tells another one on: those that one came with, but for its type and source."""
    own = _own(event_type, source)
    return [own.get(header[0], header) for header in headers]


@lru_cache(maxsize=100)
def _own(event_type: str, source: str) -> dict[str, Header]:
    own = {"ce_type": event_type, "ce_source": source, "ce_dataschema": schema_path(event_type)}
    return {name: (name, value.encode()) for name, value in own.items()}


def from_headers(headers: Iterable[Header], key: bytes | None) -> Envelope:
    """Read the envelope of a consumed record; raises `BadEnvelope` naming what is missing or malformed.

    Headers that are none of an envelope's are passed over, whatever they hold.
    """
    found = dict(headers)
    try:
        return Envelope(
            found["ce_id"].decode(),
            found["ce_type"].decode(),
            found["ce_source"].decode(),
            found["ce_subject"].decode(),
            (key or b"").decode(),
            _time(found["ce_time"]),
            _text(found.get("ce_uai")),
            _text(found.get("ce_audience")),
            _integer(found.get("ce_directoryposition")),
            _integer(found.get("ce_sequence")),
            _text(found.get("traceparent")),
            found.get("ce_replay") == b"true",
            _text(found.get("ce_replayfor")),
        )
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from missing
    except (ValueError, AttributeError, TypeError) as malformed:
        # Kafka lets a header have no value at all.
        raise BadEnvelope(f"a header or the key is malformed: {type(malformed).__name__}") from malformed


# Remembered: what is written together is stamped alike.
@lru_cache(maxsize=1000)
def _time(value: bytes) -> datetime:
    time = datetime.fromisoformat(value.decode())
    if time.tzinfo is None:
        raise ValueError("ce_time has no offset")
    return time


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _integer(value: bytes | None) -> int | None:
    if value is None:
        return None
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("out of range")
    return number
