"""Every SQL statement of the roster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from chassis.database import Connection
from chassis.problems import busy
from contracts.directory import person_key, school_key
from roster.facts import Facts, GroupFacts, PersonFacts, SchoolFacts, parse, parsed
from roster.scopes import DatedScope, from_facts, held

_STOPPED_RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class ReaderScopes:
    """What a person may see as of `position` of the directory: scopes by the key of the document they come from."""

    position: int
    by_key: dict[str, tuple[DatedScope, ...]]
    schools: Mapping[str, SchoolFacts]
    ended: bool = False
    """Whether the person has left: nothing holds then, whatever documents still point at them."""
    stopped: bool = False
    """Whether the replica can't take in what comes next."""

    def held(self, now: datetime) -> frozenset[str]:
        """The scopes, as text, that hold at this moment."""
        if self.ended:
            return frozenset()
        return held((scope for scopes in self.by_key.values() for scope in scopes), self.schools, now)


async def position(connection: Connection) -> int:
    """How far the replica has come in the directory's total order."""
    found: int = await connection.fetchval("SELECT position FROM roster_state")
    return found


async def hold_position(connection: Connection) -> int:
    """How far the replica has come; nobody else moves it until the transaction ends."""
    found: int = await connection.fetchval("SELECT position FROM roster_state FOR UPDATE")
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """How a replica stands, whichever process feeds it.

    `age` is seconds since it last heard of the directory, by the database's clock, and a day at the most; `stopped_by`
    tells what it could not take in.
    """

    age: float
    stopped_by: str | None

    def doubt(self, silence_seconds: float) -> str | None:
        """Why rights can't be trusted; None when they can."""
        if self.stopped_by is not None:
            return self.stopped_by
        return None if self.age <= silence_seconds else f"the directory was last heard of {self.age:.0f} s ago"


NEVER = Standing(86400.0, None)
"""A replica that has not heard of the directory."""


async def standing(connection: Connection) -> Standing:
    """How the replica stands."""
    row = await connection.fetchrow(
        "SELECT least(86400, extract(epoch FROM clock_timestamp() - greatest(heard_at, '2000-01-01')))::float8 AS age,"
        " stopped_by FROM roster_state"
    )
    assert row is not None
    return Standing(row["age"], row["stopped_by"])


async def stop(connection: Connection, reason: str) -> None:
    """Have everybody know that the replica can't take something in; `advance` ends it."""
    await connection.execute("UPDATE roster_state SET stopped_by = $1 WHERE stopped_by IS DISTINCT FROM $1", reason)


async def facts(connection: Connection, keys: Iterable[str]) -> dict[str, Facts]:
    """The facts under these record keys; keys the replica does not hold are absent."""
    rows = await connection.fetch(
        "SELECT key, facts FROM roster_documents WHERE key = ANY($1::text[])", list(set(keys))
    )
    return _parsed((row["key"], row["facts"]) for row in rows)


def _parsed(rows: Iterable[tuple[str, str]]) -> dict[str, Facts]:
    found = ((key, parse(key, text)) for key, text in rows)
    return {key: one for key, one in found if one is not None}


async def person(connection: Connection, person: UUID) -> PersonFacts | None:
    """One person."""
    found = (await facts(connection, [person_key(person)])).get(person_key(person))
    return found if isinstance(found, PersonFacts) else None


@dataclass(frozen=True, slots=True)
class Around:
    """What the replica says around a group, of one snapshot: the group, its school, a person, its pupils on a day."""

    position: int
    group: GroupFacts
    school: SchoolFacts
    person: PersonFacts | None
    members: frozenset[UUID]


AROUND = """
    SELECT s.position, g.key AS group_key, g.facts AS group_facts, school.key AS school_key,
           school.facts AS school_facts, person.key AS person_key, person.facts AS person_facts,
           ARRAY(SELECT pupil FROM roster_memberships WHERE group_id = {group} AND {day}::date IS NOT NULL
                 AND (starts IS NULL OR starts <= {day}) AND (ends IS NULL OR ends > {day})) AS members
    FROM roster_state s
    JOIN roster_documents g ON g.key = 'groups/' || {group}
    JOIN roster_documents school ON school.key = 'schools/' || (g.facts ->> 'uai')
    LEFT JOIN roster_documents person ON person.key = 'people/' || {person}
"""
"""What is around a group as text, so that a service's store can make it a part of its own statement."""
_AROUND = AROUND.format(group="$1::uuid", person="$2::uuid", day="$3::date")


async def around(connection: Connection, group: UUID, person: UUID | None, day: date | None) -> Around | None:
    """What is around a group, in one round trip; None for a group the replica does not hold, no members without a day."""
    row = await connection.fetchrow(_AROUND, group, person, day)
    return None if row is None else around_of(row)


def around_of(row: Record) -> Around:
    """What a row of `AROUND` says."""
    found, school = parsed(row["group_key"], row["group_facts"]), parsed(row["school_key"], row["school_facts"])
    person = None if row["person_key"] is None else parsed(row["person_key"], row["person_facts"])
    assert isinstance(found, GroupFacts)
    assert isinstance(school, SchoolFacts)
    who = person if isinstance(person, PersonFacts) else None
    return Around(row["position"], found, school, who, frozenset(row["members"]))


@dataclass(frozen=True, slots=True)
class Classmates:
    """Who was in a pupil's class with them, the pupil too, by term; and the groups these pupils are in that year."""

    by_term: Mapping[UUID, frozenset[UUID]]
    groups: frozenset[UUID]


# `greatest` and `least` pass over a date that is open, and a term's are not. Documents are looked up one by one, and a few:
# a condition on what is in them, left to a join, reads every document of the county.
_CLASSMATES = """
    WITH class AS (
        SELECT own.group_id, own.starts, own.ends, d.uai
        FROM roster_memberships own CROSS JOIN LATERAL (
            SELECT facts ->> 'uai' AS uai FROM roster_documents WHERE key = 'groups/' || own.group_id
            AND facts ->> 'kind' = 'class' AND (facts ->> 'school_year')::integer = $2 OFFSET 0
        ) d
        WHERE own.pupil = $1
    ), together AS (
        SELECT DISTINCT term.id AS term, mate.pupil
        FROM class JOIN roster_memberships mate USING (group_id)
        JOIN roster_documents school ON school.key = 'schools/' || class.uai
        CROSS JOIN LATERAL jsonb_to_recordset(school.facts -> 'terms')
            AS term (id uuid, school_year integer, starts date, ends date)
        WHERE term.school_year = $2
          AND greatest(class.starts, mate.starts, term.starts) < least(class.ends, mate.ends, term.ends)
    ), joined AS (
        SELECT DISTINCT group_id FROM roster_memberships WHERE pupil = ANY (ARRAY(SELECT pupil FROM together))
    )
    SELECT term, array_agg(pupil) AS pupils, ARRAY(
        SELECT group_id FROM joined CROSS JOIN LATERAL (
            SELECT FROM roster_documents WHERE key = 'groups/' || group_id
            AND (facts ->> 'school_year')::integer = $2 OFFSET 0
        ) of_year
    ) AS groups
    FROM together GROUP BY term
"""


async def classmates(connection: Connection, pupil: UUID, school_year: int) -> Classmates:
    """Who was in the pupil's class of a school year together with them on a day of a term; who has left is not named."""
    rows = await connection.fetch(_CLASSMATES, pupil, school_year)
    groups = frozenset(rows[0]["groups"]) if rows else frozenset[UUID]()
    return Classmates({row["term"]: frozenset(row["pupils"]) for row in rows}, groups)


async def schools(connection: Connection) -> dict[str, SchoolFacts]:
    """Every school."""
    rows = await connection.fetch("SELECT key, facts FROM roster_documents WHERE key LIKE 'schools/%'")
    found = _parsed((row["key"], row["facts"]) for row in rows)
    return {one.uai: one for one in found.values() if isinstance(one, SchoolFacts)}


# One index look-up for each tie: a condition that joins "its own or one that mentions it" by OR scans every document.
_MENTIONING = """
    WITH tied (person, key) AS (
        SELECT person, key FROM roster_mentions WHERE person = ANY($1::uuid[])
        UNION
        SELECT own.person, 'people/' || own.person FROM unnest($1::uuid[]) AS own (person)
    )
    SELECT s.position, s.stopped_by, found.person, found.key, found.facts
    FROM roster_state s
    LEFT JOIN (
        SELECT tied.person, d.key, d.facts
        FROM tied CROSS JOIN LATERAL (SELECT key, facts FROM roster_documents WHERE key = tied.key OFFSET 0) d
    ) found ON true
"""
_SCHOOLS_OF = "SELECT key, facts FROM roster_documents WHERE key = ANY($1::text[])"


async def read_scopes(connection: Connection, person: UUID) -> ReaderScopes:
    """What a person may see, as of the position that the answer carries (one snapshot).

    Raises a 503 problem where the replica is stopped: what it can't take in may take a right away.
    """
    read = (await read_scopes_of(connection, [person]))[person]
    if read.stopped:
        raise busy("A change of the directory can't be taken in.", _STOPPED_RETRY_AFTER)
    return read


async def read_scopes_of(connection: Connection, people: Collection[UUID]) -> dict[UUID, ReaderScopes]:
    """What each of these people may see, all as of one position."""
    rows = await connection.fetch(_MENTIONING, list(set(people)))
    found = _parsed({row["key"]: row["facts"] for row in rows if row["key"] is not None}.items())
    keys = {school_key(uai) for one in found.values() for uai in _schools_named(one)}
    school_rows = await connection.fetch(_SCHOOLS_OF, list(keys))
    named = _parsed((row["key"], row["facts"]) for row in school_rows).values()
    by_uai = {one.uai: one for one in named if isinstance(one, SchoolFacts)}
    ended = _ended(found.values())
    scopes: dict[UUID, dict[str, tuple[DatedScope, ...]]] = {person: {} for person in people}
    for row in rows:
        if row["key"] in found:
            scopes[row["person"]][row["key"]] = from_facts(found[row["key"]], row["person"], by_uai)
    position, stopped = rows[0]["position"], rows[0]["stopped_by"] is not None
    return {who: ReaderScopes(position, by_key, by_uai, who in ended, stopped) for who, by_key in scopes.items()}


@dataclass(frozen=True, slots=True)
class Readers:
    """Who may see what concerns these pupils at this moment, and which of them have left."""

    of: Mapping[str, frozenset[UUID]]
    """People by scope as text, `guardians:pupils/<id>`."""
    ended: frozenset[UUID]


async def guardians(connection: Connection, pupils: Iterable[UUID], now: datetime) -> Readers:
    """The guardians who hold the right to read each of these pupils, by the links that count at the pupil's schools."""
    keys = {person_key(pupil) for pupil in pupils}
    children = [one for one in (await facts(connection, keys)).values() if isinstance(one, PersonFacts)]
    adults = {link.person for child in children for link in child.guardians}
    uais = {uai for child in children for uai in _schools_named(child)}
    around = await facts(connection, [*map(person_key, adults), *map(school_key, uais)])
    known = {one.uai: one for one in around.values() if isinstance(one, SchoolFacts)}
    ended = _ended(around.values())
    found: dict[str, set[UUID]] = {}
    for child in children:
        for person in {link.person for link in child.guardians} - ended:
            for scope in held(from_facts(child, person, known), known, now):
                found.setdefault(scope, set()).add(person)
    return Readers({scope: frozenset(people) for scope, people in found.items()}, ended)


def _ended(facts: Iterable[Facts]) -> frozenset[UUID]:
    return frozenset(one.id for one in facts if isinstance(one, PersonFacts) and one.ended)


def _schools_named(one: Facts) -> set[str]:
    if isinstance(one, PersonFacts):
        return {role.uai for role in one.roles} | {member.uai for member in one.memberships}
    return {one.uai}


_PUT = """
    WITH given AS MATERIALIZED (
        SELECT key, sequence, facts::jsonb FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (key, sequence, facts)
    ), mentioned AS (
        INSERT INTO roster_mentions (person, key)
        SELECT DISTINCT tie.person, key
        FROM given, jsonb_to_recordset(coalesce(facts -> 'guardians', facts -> 'teachers', '[]')) AS tie (person uuid)
    ), members AS (
        INSERT INTO roster_memberships (pupil, group_id, starts, ends)
        SELECT (facts ->> 'id')::uuid, member."group", member.starts, member.ends
        FROM given, jsonb_to_recordset(facts -> 'memberships') AS member ("group" uuid, starts date, ends date)
        WHERE $4 AND facts ? 'memberships' AND NOT coalesce((facts -> 'ended')::boolean, false)
    )
    INSERT INTO roster_documents AS known (key, sequence, facts)
    SELECT key, sequence, facts FROM given
    ON CONFLICT (key) DO UPDATE SET sequence = excluded.sequence, facts = excluded.facts
"""


async def replace_documents(
    connection: Connection, documents: Mapping[str, tuple[int, str | None]], *, members: bool = True
) -> None:
    """Make these documents (sequence and facts as JSON; None removes) the state of their keys.

    `members` says whether the members of groups are to be found from the group's side too.

    Who is mentioned and who is a member is taken from the facts where they are kept: a county's memberships sent apart
    would be most of what is sent.
    """
    await _clear(connection, list(documents))
    gone = [key for key, (_, one) in documents.items() if one is None]
    if gone:
        await connection.execute("DELETE FROM roster_documents WHERE key = ANY($1::text[])", gone)
    present = [(key, sequence, one) for key, (sequence, one) in documents.items() if one is not None]
    await connection.execute(_PUT, *([one[column] for one in present] for column in range(3)), members)


async def _clear(connection: Connection, keys: list[str]) -> None:
    """Forget who is mentioned and who is a member by those of these documents that the replica holds."""
    rows = await connection.fetch("SELECT key FROM roster_documents WHERE key = ANY($1::text[])", keys)
    known = [row["key"] for row in rows]
    if known:
        await connection.execute("DELETE FROM roster_mentions WHERE key = ANY($1::text[])", known)
        pupils = [key.removeprefix("people/") for key in known if key.startswith("people/")]
        await connection.execute("DELETE FROM roster_memberships WHERE pupil = ANY($1::uuid[])", pupils)


async def advance(connection: Connection, sequence: int, *, heard: bool = True) -> None:
    """Remember that the replica goes on and has come as far as `sequence`; `heard`: that is news of now."""
    await connection.execute(
        "UPDATE roster_state SET position = greatest(position, $1), stopped_by = NULL,"
        " heard_at = CASE WHEN $2 THEN clock_timestamp() ELSE heard_at END",
        sequence,
        heard,
    )
