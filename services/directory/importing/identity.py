"""Stable ids of what comes from a school's information system."""

from __future__ import annotations

from uuid import UUID, uuid5

_IMPORTED = UUID("0d8c6a52-5a0e-5d0b-8a53-6f0f2b5f9a11")


def identity(source: str, kind: str, sourced_id: str) -> UUID:
    """The id of an entity of a source: the same each time it returns, and no other source's.

    `kind` keeps a user and a class of the same sourcedId apart.
    """
    return uuid5(_IMPORTED, f"{source}\n{kind}\n{sourced_id}")


def person_id(source: str, sourced_id: str) -> UUID:
    """The id of a user of the source."""
    return identity(source, "user", sourced_id)


def group_id(source: str, sourced_id: str, school_year: int) -> UUID:
    """The id of a class of the source; the year is part of it, for some systems reuse their ids each autumn."""
    return identity(source, f"class/{school_year}", sourced_id)


def term_id(source: str, sourced_id: str) -> UUID:
    """The id of an academic session of the source."""
    return identity(source, "session", sourced_id)
