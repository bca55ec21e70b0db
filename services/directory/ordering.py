"""The order of a document's parts: the same parts make the same document, in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from contracts.envelope import Contract

Part = TypeVar("Part", bound=Contract)


def ordered(parts: Iterable[Part]) -> list[Part]:
    """Parts sorted by their content, field by field, an absent value first."""
    return sorted(parts, key=_content)


def _content(part: Contract) -> tuple[str, ...]:
    return tuple("" if value is None else f"{value}" for value in part.__dict__.values())
