"""Databases that hold as much as is asked, made by single statements: items, backlog, guarded keys, years of grades.

Names are digests of numbers (`pupil 7`), so that what reads knows whom to ask for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from random import Random
from types import SimpleNamespace
from uuid import UUID

from bench import backlog as grades_backlog
from chassis.consumer import Received
from chassis.database import Connection
from chassis.outbox import dump
from contracts.catalogue import example
from contracts.directory import (
    GuardianLink,
    LinkKind,
    PersonChanged,
    Role,
    RoleName,
    SchoolChanged,
    person_key,
    school_key,
)
from contracts.envelope import Envelope
from contracts.feed import ItemPut
from contracts.grades import TOPIC
from roster import store as roster
from roster.facts import pared
from services.feed import store as feed

CONSUMER = "notify"
_SOURCE = "/feed"
_UAI = "0921234S"
_ITEMS_OF_A_PUPIL = 100
_CLASSES = 10
_PUPILS = 30
_FIRST_YEAR = 2017
_MOST_YEARS = 10
GRADES_OF_A_TERM = 33
"""Of one pupil: three in each of eleven subjects."""
_GUARDED_AT_ONCE = 17


def _named(name: str) -> UUID:
    return UUID(md5(name.encode(), usedforsecurity=False).hexdigest())


# The feed's history

_ITEMS = """
    INSERT INTO items (id, scope, uai, category, published_at, generation, position, body)
    SELECT md5('item ' || n)::uuid, 'guardians:pupils/' || md5('pupil ' || n % $2)::uuid, $4, 'grades',
           timestamptz '2026-09-01' + n * interval '1 second', 1, n, $3
    FROM generate_series(0, $1::bigint - 1) AS n
"""


# Two children each; what is the child's own stands in the pattern as a word.
_FAMILIES = """
    INSERT INTO roster_documents (key, sequence, facts)
    SELECT 'people/' || pupil, n, replace(replace($2::text, $3, pupil::text), $4, parent::text)::jsonb
    FROM generate_series(0, $1::bigint - 1) AS n,
         LATERAL (SELECT md5('pupil ' || n)::uuid AS pupil, md5('parent ' || n / 2)::uuid AS parent) AS named
"""
_TIES = """
    INSERT INTO roster_mentions (person, key)
    SELECT md5('parent ' || n / 2)::uuid, 'people/' || md5('pupil ' || n)::uuid
    FROM generate_series(0, $1::bigint - 1) AS n
"""


async def items(connection: Connection, size: int) -> None:
    """So many items, a hundred of each pupil, among all others' as they come; and the families who read them."""
    body = dump(ItemPut.model_validate_json(example(ItemPut.TYPE), strict=False))
    async with _loading(connection, "items"):
        await connection.execute(_ITEMS, size, size // _ITEMS_OF_A_PUPIL, body, _UAI, timeout=240)
    await _families(connection, size // _ITEMS_OF_A_PUPIL)
    await feed.remember_lineage(connection)


async def _families(connection: Connection, pupils: int) -> None:
    child, parent = _named("child"), _named("parent")
    pattern = PersonChanged(
        id=child,
        given_name="Zoé",
        family_name="Test",
        roles=[Role(name=RoleName.PUPIL, uai=_UAI)],
        guardians=[GuardianLink(person=parent, kind=LinkKind.LEGAL_GUARDIAN)],
    )
    school = SchoolChanged(uai=_UAI, name="Collège", zone="Europe/Paris", school_years=[], terms=[])
    key = school_key(_UAI)
    await roster.replace_documents(connection, {key: (0, pared(key, dump(school)))})
    facts = pared(person_key(child), dump(pattern))
    await connection.execute(_FAMILIES, pupils, facts, str(child), str(parent), timeout=60)
    await connection.execute(_TIES, pupils, timeout=60)
    await connection.execute("VACUUM ANALYZE roster_documents, roster_mentions", timeout=60)


def parent(size: int, random: Random) -> UUID:
    """Some parent of two pupils with items."""
    return _named(f"parent {random.randrange(size // _ITEMS_OF_A_PUPIL // 2)}")


def scope(size: int, random: Random) -> str:
    """The scope of some pupil with items."""
    return f"guardians:pupils/{_named(f'pupil {random.randrange(size // _ITEMS_OF_A_PUPIL)}')}"


@asynccontextmanager
async def _loading(connection: Connection, table: str) -> AsyncIterator[None]:
    """Take rows in without indexes or a log, and leave the table as a vacuum does."""
    keys = await connection.fetch(
        "SELECT conname AS name, pg_get_constraintdef(oid) AS made FROM pg_constraint"
        " WHERE conrelid = $1::text::regclass AND contype = 'p'",
        table,
    )
    await connection.execute(f"SET maintenance_work_mem = '512MB'; ALTER TABLE {table} SET UNLOGGED")
    for key in keys:
        await connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{key["name"]}"')
    indexes = await connection.fetch(
        "SELECT indexname AS name, indexdef AS made FROM pg_indexes"
        " WHERE tablename = $1 AND schemaname = current_schema()",
        table,
    )
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["name"]}"')
    yield
    for index in indexes:
        await connection.execute(index["made"], timeout=120)
    for key in keys:
        await connection.execute(f"ALTER TABLE {table} ADD {key['made']}", timeout=120)
    await connection.execute(f"VACUUM ANALYZE {table}", timeout=120)


# The outbox


async def backlog(connection: Connection, size: int) -> None:
    """So many grades that Kafka has not been told of."""
    await grades_backlog.fill(connection, TOPIC, size, "growth")
    await connection.execute("VACUUM ANALYZE outbox", timeout=120)


# The repeat guard

_GUARD = """
    INSERT INTO repeat_guard (name, sequence)
    SELECT pg_temp.digest($2::text || ' ' || pg_temp.digest(format('%s grades:pupils/%s', $3::text, md5('pupil ' || n)::uuid)))
           ::uuid, n
    FROM generate_series(0, $1::bigint - 1) AS n
"""
_DIGEST = """
    CREATE FUNCTION pg_temp.digest(told text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN encode(substring(sha256(convert_to(told, 'UTF8')) FOR 16), 'hex')
"""


async def guard(connection: Connection, size: int) -> None:
    """The last sequence of so many keys."""
    await connection.execute(_DIGEST)
    await connection.execute(_GUARD, size, CONSUMER, _SOURCE, timeout=240)
    await connection.execute("VACUUM ANALYZE repeat_guard", timeout=120)


def received(size: int, random: Random) -> list[Received]:
    """A batch of news of some of the keys: of whole classes, as they came the first time."""
    classes = random.sample(range(size // _PUPILS), _GUARDED_AT_ONCE)
    return [_received(number * _PUPILS + pupil) for number in classes for pupil in range(_PUPILS)]


def _received(number: int) -> Received:
    envelope = Envelope(
        id=str(number),
        type=ItemPut.TYPE,
        source=_SOURCE,
        subject="",
        key=f"grades:pupils/{_named(f'pupil {number}')}",
        time=datetime.now(UTC),
        sequence=time.time_ns(),
    )
    return Received(envelope, b"{}", SimpleNamespace())


# Years of grades

# A school's classes for some years; of the fewer years, the more schools, so that only a pupil's own years are more.
_SCHOOLS = """
    FROM generate_series(0, $1 - 1) AS y, generate_series(0, 2) AS t, generate_series(0, 2) AS k,
         generate_series(0, 10) AS s, generate_series(0, $3 - 1) AS c,
         LATERAL (SELECT c / 10 AS school, make_date($2 + y - 1, 9, 1) + t * 100 + k * 30 + s AS day) AS held
"""
_ASSESSMENTS = f"""
    INSERT INTO assessments (id, uai, school_year, group_id, subject_code, subject_label, title, held_on, term, out_of,
        coefficient, optional, bonus, zone, published_at, created_by, created_at)
    SELECT md5(format('assessment %s %s %s %s %s', y, t, k, s, c))::uuid, '09200' || school || 'S', $2 + y,
           md5(format('class %s %s', c, y))::uuid, 'S' || s, 'Matière ' || s, 'Contrôle ' || k, day,
           md5(format('term %s %s %s', school, y, t))::uuid, 20, 1, false, false, 'Europe/Paris', day,
           gen_random_uuid(), day
    {_SCHOOLS} ORDER BY day, s, c
"""
_DISCLOSURES = f"""
    INSERT INTO disclosures (assessment, pupil, audience, score, assessment_version, event, first_published_at, updated_at,
        term)
    SELECT md5(format('assessment %s %s %s %s %s', y, t, k, s, c))::uuid, md5(format('pupil %s %s', c, p))::uuid,
           audience, (7 * p + 3 * s + k) % 41 / 2.0, 1, gen_random_uuid(), day, day,
           md5(format('term %s %s %s', school, y, t))::uuid
    {_SCHOOLS}, generate_series(0, $4 - 1) AS p, unnest(ARRAY['pupils', 'guardians']) AS audience ORDER BY day, s, c, p
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose grades are asked for, of which school year and term."""

    pupil: UUID
    school_year: int
    term: UUID


async def years(connection: Connection, size: int) -> None:
    """So many school years of classes that stay together: a pupil has 99 grades in each."""
    classes = _classes(size)
    await connection.execute(_ASSESSMENTS, size, _FIRST_YEAR, classes, timeout=240)
    await connection.execute(_DISCLOSURES, size, _FIRST_YEAR, classes, _PUPILS, timeout=240)
    await connection.execute("VACUUM ANALYZE", timeout=120)


def _classes(size: int) -> int:
    return _MOST_YEARS // size * _CLASSES


def asked(size: int, random: Random) -> Asked:
    """Some pupil with grades, some year of theirs and one of its terms."""
    number, year, term = random.randrange(_classes(size)), random.randrange(size), random.randrange(3)
    pupil = _named(f"pupil {number} {random.randrange(_PUPILS)}")
    return Asked(pupil, _FIRST_YEAR + year, _named(f"term {number // _CLASSES} {year} {term}"))
