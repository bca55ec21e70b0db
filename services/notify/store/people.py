"""Statements on people: how they are reached, what they chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.database import Connection
from contracts.feed import Category


@dataclass(frozen=True, slots=True)
class Contact:
    """What a message needs of a person's document."""

    person: UUID
    given_name: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person chose; the default is French and all categories by e-mail."""

    language: str = "fr"
    email_enabled: bool = True
    muted: frozenset[Category] = frozenset()


async def put_contacts(connection: Connection, contacts: Sequence[Contact]) -> None:
    """Know how these people are reached; each person once."""
    await connection.execute(
        "INSERT INTO contacts (person, given_name, email) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])"
        " ON CONFLICT (person) DO UPDATE SET given_name = excluded.given_name, email = excluded.email",
        [one.person for one in contacts],
        [one.given_name for one in contacts],
        [one.email for one in contacts],
    )


async def forget(connection: Connection, people: Sequence[UUID]) -> None:
    """Erase what is known of these people; of their messages ids alone stay until they are pruned."""
    await connection.execute("DELETE FROM contacts WHERE person = ANY($1::uuid[])", people)
    await connection.execute("DELETE FROM preferences WHERE person = ANY($1::uuid[])", people)


async def contacts(connection: Connection, people: Iterable[UUID]) -> dict[UUID, Contact]:
    """How these people are reached; those unknown are absent."""
    rows = await connection.fetch(
        "SELECT person, given_name, email FROM contacts WHERE person = ANY($1::uuid[])", list(set(people))
    )
    return {row["person"]: Contact(**row) for row in rows}


async def preferences(connection: Connection, people: Iterable[UUID]) -> dict[UUID, Preferences]:
    """What these people chose; who chose nothing is absent."""
    rows = await connection.fetch(
        "SELECT person, language, email_enabled, muted FROM preferences WHERE person = ANY($1::uuid[])",
        list(set(people)),
    )
    return {
        row["person"]: Preferences(row["language"], row["email_enabled"], frozenset(map(Category, row["muted"])))
        for row in rows
    }


async def put_preferences(connection: Connection, person: UUID, chosen: Preferences) -> None:
    """Keep what a person chose."""
    await connection.execute(
        "INSERT INTO preferences (person, language, email_enabled, muted) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (person) DO UPDATE SET language = excluded.language, email_enabled = excluded.email_enabled,"
        " muted = excluded.muted",
        person,
        chosen.language,
        chosen.email_enabled,
        sorted(chosen.muted),
    )
