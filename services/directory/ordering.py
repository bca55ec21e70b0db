"""The order of a document's parts: the same parts make the same document, in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from contracts.envelope import Contract

Part = TypeVar("Part", bound=Contract)


def ordered(parts: Iterable[Part]) -> list[Part]:
    """Parts sorted by their content, field by field, an absent value first."""
    found = list(parts)
    if len(found) > 1:
        found.sort(key=content)
    return found


def content(part: Contract) -> tuple[str, ...]:
    """What a part is ordered by."""
    return tuple("" if value is None else f"{value}" for value in part.__dict__.values())
