"""Every published event type, its JSON Schema and golden example, and what may change in a schema without breaking a reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from contracts import directory, feed, grades
from contracts.envelope import Event

FOLDER = Path(__file__).parent
EVENTS: dict[str, type[Event]] = {e.TYPE: e for e in (*directory.EVENTS, *grades.EVENTS, *feed.EVENTS)}

Schema = dict[str, Any]


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


if __name__ == "__main__":
    sys.exit(publish())
