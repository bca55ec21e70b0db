"""Every published event type, its JSON Schema and golden example, and what may change in a schema without breaking a reader."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from contracts import directory, feed, generations, grades
from contracts.envelope import Event, schema_path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "events.md"
MODULES: dict[str, ModuleType] = {m.TOPIC: m for m in (directory, grades, feed, generations)}
"""The domain that publishes on each topic."""
EVENTS: dict[str, type[Event]] = {e.TYPE: e for m in MODULES.values() for e in m.EVENTS}

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a reader of an event wants to know beyond its fields; `key` and `subject` are templates over them."""

    event: type[Event]
    topic: str
    key: str
    subject: str
    audience: str
    fires: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]


def _directory(event: type[Event], key: str, fires: str) -> Entry:
    audience = "services only: replicas of the directory"
    return Entry(
        event, directory.TOPIC, key, key, audience, fires, ("directory",), ("grades", "feed", "notify", "gateway")
    )


def _grades(event: type[Event], fires: str) -> Entry:
    key, audience = "pupils/{pupil}", "`pupils` or `guardians`, one event each"
    return Entry(event, grades.TOPIC, key, key, audience, fires, ("grades",), ("feed", "notify"))


def _feed(event: type[Event], fires: str) -> Entry:
    audience = "that of its cause: `pupils`, `guardians` or `staff`"
    return Entry(event, feed.TOPIC, "grades:{scope}", "{scope}", audience, fires, ("feed",), ("feed", "gateway"))


_ENTRIES = (
    _directory(
        directory.SchoolChanged, "schools/{uai}", "A school is made, or its years, terms or settings change; an import."
    ),
    _directory(
        directory.GroupChanged, "groups/{id}", "A group is made, renamed or ended, or its teachers change; an import."
    ),
    _directory(
        directory.PersonChanged,
        "people/{id}",
        "A person is made, changed or ended: names, roles, places in groups, guardians; an import. A null value later erases.",
    ),
    _directory(directory.Beat, directory.BEAT_KEY, "Every few seconds, straight to Kafka, without a sequence."),
    _grades(
        grades.GradePublished,
        "An assessment is published or falls due for the audience, or a mark is entered into one that is visible already.",
    ),
    _grades(
        grades.GradeCorrected,
        "A mark the audience has seen changes, or its assessment does in what the audience was told.",
    ),
    _grades(grades.GradeWithdrawn, "A mark the audience has seen is withdrawn, alone or with its assessment."),
    _feed(feed.ItemPut, "The projector reads a grade published or corrected."),
    _feed(feed.ItemRemoved, "The projector reads a grade withdrawn."),
    Entry(
        generations.GenerationServes,
        generations.TOPIC,
        generations.KEY,
        generations.KEY,
        "services only: gateways",
        "A rebuild of the feed is complete; and at each start of feed, so that a topic made anew knows.",
        ("feed",),
        ("gateway",),
    ),
)
ENTRIES: dict[str, Entry] = {entry.event.TYPE: entry for entry in _ENTRIES}
"""Every event's entry, by its type."""


def schema(event_type: str) -> Schema:
    """The JSON Schema (2020-12) of an event's data; raises KeyError for a type nobody publishes."""
    made = EVENTS[event_type].model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"/v1/schemas/{event_type}", **made}


def committed_schema(event_type: str) -> Schema:
    """The schema as last committed."""
    loaded: Schema = json.loads((FOLDER / "schemas" / f"{event_type}.json").read_text("utf-8"))
    return loaded


def example(event_type: str) -> bytes:
    """The golden example of an event's data, as it stands on the wire."""
    return (FOLDER / "examples" / f"{event_type}.json").read_bytes()


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What in `new` would break a reader written against `old`; empty when readers go on working.

    Readers tolerate unknown fields, so a new field is no break; a lost field, one that may now be missing, another
    type or another value of an enumeration is.
    """
    return _breaks(old, new, old.get("$defs", {}), new.get("$defs", {}), "")


def _breaks(old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, path: str) -> list[str]:
    old, new = _resolve(old, old_defs), _resolve(new, new_defs)
    found = [f"{path or '/'}: {word} changed" for word in ("type", "const", "format") if old.get(word) != new.get(word)]
    if set(new.get("enum", ())) - set(old.get("enum", ())):
        found.append(f"{path or '/'}: new values")
    for name, part in old.get("properties", {}).items():
        here = f"{path}/{name}"
        if name not in new.get("properties", {}):
            found.append(f"{here}: field lost")
            continue
        if name in old.get("required", ()) and name not in new.get("required", ()):
            found.append(f"{here}: may now be missing")
        found += _breaks(part, new["properties"][name], old_defs, new_defs, here)
    if "items" in old:
        found += _breaks(old["items"], new.get("items", {}), old_defs, new_defs, f"{path}[]")
    found += _alternatives(old, new, old_defs, new_defs, path)
    return found


def _alternatives(old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, path: str) -> list[str]:
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    unknown = [n for n in after if all(_breaks(o, n, old_defs, new_defs, path) for o in before)]
    return [f"{path or '/'}: another alternative"] if unknown else []


def _resolve(part: Schema, defs: Schema) -> Schema:
    reference = part.get("$ref")
    return defs[reference.removeprefix("#/$defs/")] if reference else part


def publish() -> int:
    """Write the schemas; refuses a change that would break readers (such a change is a new type)."""
    for event_type in EVENTS:
        path = FOLDER / "schemas" / f"{event_type}.json"
        path.parent.mkdir(exist_ok=True)
        new = schema(event_type)
        broken = breaking_changes(committed_schema(event_type), new) if path.exists() else []
        if broken:
            print(f"{event_type}: {'; '.join(broken)}. Make it a new version.", file=sys.stderr)
            return 1
        path.write_text(json.dumps(new, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    return 0


def page() -> str:
    """docs/events.md: every event, for people."""
    head = (
        "# Events\n\nWritten by `python -m contracts.catalogue`; a test compares.\n\n"
        "Every event is a CloudEvent 1.0 in Kafka's binary mode: attributes in `ce_*` headers, data as JSON in the value. "
        "A type never changes meaning; readers pass over fields they don't know. The whole as AsyncAPI: "
        "`GET /v1/asyncapi.json`, each schema: `GET /v1/schemas/<type>`.\n"
    )
    return head + "".join(_chapter(topic, module) for topic, module in MODULES.items())


def _chapter(topic: str, module: ModuleType) -> str:
    events = "".join(_section(ENTRIES[event.TYPE]) for event in module.EVENTS)
    return f"\n## Topic `{topic}`\n\n{inspect.getdoc(module)}\n{events}"


def _section(entry: Entry) -> str:
    event_type = entry.event.TYPE
    facts = (
        ("record key", f"`{entry.key}`"),
        ("audience", entry.audience),
        ("fires", entry.fires),
        ("produced by", ", ".join(entry.producers)),
        ("consumed by", ", ".join(entry.consumers)),
        ("schema", f"`{schema_path(event_type)}`"),
    )
    rows = "".join(f"| {name} | {value} |\n" for name, value in facts)
    says = inspect.getdoc(entry.event)
    data = example(event_type).decode().strip()
    return f"\n### `{event_type}`\n\n{says}\n\n| | |\n|---|---|\n{rows}\n```json\n{data}\n```\n"


def main() -> int:
    """Publish the schemas, then write the page."""
    if code := publish():
        return code
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
