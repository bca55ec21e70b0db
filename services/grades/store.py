"""Every SQL statement of the grades service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from asyncpg import Record

from chassis.audit import RECORD_CTE, Entry, values
from chassis.database import Connection
from chassis.outbox import APPEND_CTE, Outgoing, columns
from roster.store import AROUND, Around, around_of
from services.grades.averages import Assessed
from services.grades.domain import Change, Disclosure, Mark, Told, Visibility

AUDIENCES = ("pupils", "guardians")


@dataclass(frozen=True, slots=True)
class Assessment:
    """An assessment as stored, with the database's clock of the moment it was read."""

    id: UUID
    uai: str
    school_year: int
    group: UUID
    subject_code: str
    subject_label: str
    title: str
    held_on: date
    term: UUID
    out_of: Decimal
    coefficient: Decimal
    optional: bool
    bonus: bool
    pupils_due: datetime | None
    guardians_due: datetime | None
    zone: str
    published_at: datetime | None
    withdrawn_at: datetime | None
    version: int
    visibility: Visibility
    now: datetime


_COLUMNS = """
    id, uai, school_year, group_id, subject_code, subject_label, title, held_on, assessments.term, out_of, coefficient, optional,
    bonus, pupils_due, guardians_due, zone, published_at, withdrawn_at, version, clock_timestamp() AS now,
    coalesce(pupils_due AT TIME ZONE zone <= clock_timestamp(), true) AS due_for_pupils,
    coalesce(guardians_due AT TIME ZONE zone <= clock_timestamp(), true) AS due_for_guardians
"""
_BY_ID = f"SELECT {_COLUMNS} FROM assessments WHERE id = $1"  # noqa: S608 - made of constants
_BY_GROUP = f"""
    SELECT {_COLUMNS} FROM assessments
    WHERE group_id = $1 AND ($2::uuid IS NULL OR (held_on, id) < (SELECT held_on, id FROM assessments WHERE id = $2))
    ORDER BY held_on DESC, id DESC LIMIT $3
"""  # noqa: S608 - made of constants


_STORED = tuple(one.name for one in fields(Assessment) if one.name not in ("group", "visibility"))


def _assessment(row: Record) -> Assessment:
    due = {audience for audience in AUDIENCES if row[f"due_for_{audience}"]}
    visibility = Visibility(
        row["published_at"] is not None, row["withdrawn_at"] is not None, frozenset(due), row["version"]
    )
    values = {name: row[name] for name in _STORED}
    return Assessment(group=row["group_id"], visibility=visibility, **values)


async def assessment(connection: Connection, id: UUID, *, lock: bool = False) -> Assessment | None:
    """One assessment; with `lock`, its writers wait for one another until the transaction ends."""
    row = await connection.fetchrow(_BY_ID + (" FOR UPDATE" if lock else ""), id)
    return _assessment(row) if row else None


async def assessments_of(connection: Connection, group: UUID, before: UUID | None, limit: int) -> list[Assessment]:
    """A group's assessments, latest first, after the one named."""
    return [_assessment(row) for row in await connection.fetch(_BY_GROUP, group, before, limit)]


_INSERT = """
    INSERT INTO assessments (id, uai, school_year, group_id, subject_code, subject_label, title, held_on, term, out_of,
        coefficient, optional, bonus, pupils_due, guardians_due, zone, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""


async def insert_assessment(connection: Connection, values: Mapping[str, Any], created_by: UUID) -> None:
    """Store a new assessment; `values` has the columns by name, `group` for the group's id."""
    names = ("id", "uai", "school_year", "group", "subject_code", "subject_label", "title", "held_on", "term")
    more = ("out_of", "coefficient", "optional", "bonus", "pupils_due", "guardians_due", "zone")
    await connection.execute(_INSERT, *(values[name] for name in (*names, *more)), created_by)


_UPDATE = """
    WITH moved AS (UPDATE disclosures SET term = $4 WHERE assessment = $1 AND term IS DISTINCT FROM $4)
    UPDATE assessments SET title = $2, held_on = $3, term = $4, out_of = $5, coefficient = $6, optional = $7, bonus = $8,
        pupils_due = $9, guardians_due = $10, version = version + 1
    WHERE id = $1
"""


async def update_assessment(connection: Connection, id: UUID, values: Mapping[str, Any]) -> None:
    """Change what may change of an assessment; its version grows."""
    names = ("title", "held_on", "term", "out_of", "coefficient", "optional", "bonus", "pupils_due", "guardians_due")
    await connection.execute(_UPDATE, id, *(values[name] for name in names))


async def publish(connection: Connection, id: UUID) -> None:
    """Mark an assessment as published; a second time changes nothing."""
    await connection.execute(
        "UPDATE assessments SET published_at = coalesce(published_at, clock_timestamp()), withdrawn_at = NULL"
        " WHERE id = $1",
        id,
    )


async def withdraw(connection: Connection, id: UUID) -> None:
    """Mark an assessment as withdrawn."""
    await connection.execute("UPDATE assessments SET withdrawn_at = clock_timestamp() WHERE id = $1", id)


async def marks(connection: Connection, assessment: UUID) -> dict[UUID, Mark]:
    """The marks that stand."""
    rows = await connection.fetch("SELECT pupil, score, code, comment FROM marks WHERE assessment = $1", assessment)
    return {row["pupil"]: _mark(row) for row in rows}


def marks_locks(assessment: UUID, numbers: Sequence[int]) -> str:
    """The statements, without arguments, that writers of marks begin with: an assessment's lock, then its pupils'.

    They share the assessment and wait for whoever changes it; for one another only where they write of one pupil.
    """
    return (
        f"SELECT FROM assessments WHERE id = '{assessment}' FOR SHARE;"  # noqa: S608 - an id and numbers
        f" SELECT pg_advisory_xact_lock(number) FROM unnest('{{{','.join(map(str, numbers))}}}'::bigint[]) AS number"
    )


@dataclass(frozen=True, slots=True)
class Book:
    """An assessment as who writes marks must know it: what is around its group, and of the pupils named what stands."""

    assessment: Assessment
    around: Around | None
    marks: dict[UUID, Mark]
    disclosed: dict[tuple[UUID, str], Disclosure]


_BOOK = f"""
    SELECT {_COLUMNS}, around.*, standing.*, told.*
    FROM assessments
    LEFT JOIN LATERAL ({AROUND.format(group="assessments.group_id", person="$3::uuid", day="assessments.held_on")}) around ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(ARRAY[score::text, code, comment]) AS marks, array_agg(pupil) AS marked FROM marks
        WHERE assessment = $1 AND pupil = ANY($2::uuid[])
    ) standing
    CROSS JOIN LATERAL (
        SELECT array_agg(pupil) AS told, array_agg(audience) AS audiences,
               array_agg(ARRAY[score::text, code, comment]) AS told_marks, array_agg(assessment_version) AS versions,
               array_agg(event) AS events, array_agg(first_published_at) AS first_published
        FROM disclosures WHERE assessment = $1 AND pupil = ANY($2::uuid[])
    ) told
    WHERE id = $1
"""  # noqa: S608 - made of constants


async def book(connection: Connection, assessment: UUID, pupils: Sequence[UUID], reader: UUID | None) -> Book | None:
    """An assessment with all that decides on these pupils' marks, in one round trip; None where there is none."""
    row = await connection.fetchrow(_BOOK, assessment, pupils, reader)
    if row is None:
        return None
    around = None if row["position"] is None else around_of(row)
    marks = dict(zip(row["marked"] or (), map(_told_mark, row["marks"] or ()), strict=True))
    told = zip(row["told"] or (), row["audiences"] or (), strict=True)
    details = (row["told_marks"], row["versions"], row["events"], row["first_published"])
    disclosures = (
        Disclosure(_told_mark(mark), version, event, at)
        for mark, version, event, at in zip(*(one or () for one in details), strict=True)
    )
    return Book(_assessment(row), around, marks, dict(zip(told, disclosures, strict=True)))


def _told_mark(values: Sequence[str | None]) -> Mark:
    score, code, comment = values
    return Mark(None if score is None else Decimal(score), code, comment)


def _mark(row: Record) -> Mark:
    return Mark(row["score"], row["code"], row["comment"])


async def disclosed(
    connection: Connection, assessment: UUID, pupils: Sequence[UUID]
) -> dict[tuple[UUID, str], Disclosure]:
    """What each audience was told of these pupils' grades."""
    rows = await connection.fetch(
        "SELECT pupil, audience, score, code, comment, assessment_version, event, first_published_at"
        " FROM disclosures WHERE assessment = $1 AND pupil = ANY($2::uuid[])",
        assessment,
        pupils,
    )
    return {
        (row["pupil"], row["audience"]): Disclosure(
            _mark(row), row["assessment_version"], row["event"], row["first_published_at"]
        )
        for row in rows
    }


_TOLD = """
    INSERT INTO disclosures (assessment, pupil, audience, score, code, comment, assessment_version, event,
        first_published_at, updated_at, term)
"""
_TOLD_AGAIN = """
    ON CONFLICT (assessment, pupil, audience) DO UPDATE
        SET score = excluded.score, code = excluded.code, comment = excluded.comment,
            assessment_version = excluded.assessment_version, event = excluded.event, updated_at = excluded.updated_at,
            old_score = disclosures.score, old_code = disclosures.code, old_comment = disclosures.comment,
            supersedes = disclosures.event
"""
_DISCLOSE = f"""{_TOLD}
    SELECT $1, pupil, audience, score, code, comment, $8, event, $9, $9, (SELECT term FROM assessments WHERE id = $1)
    FROM unnest($2::uuid[], $3::text[], $4::numeric[], $5::text[], $6::text[], $7::uuid[])
        AS told (pupil, audience, score, code, comment, event)
{_TOLD_AGAIN}"""  # noqa: S608 - made of constants
_FORGET = """
    DELETE FROM disclosures USING unnest($2::uuid[], $3::text[]) AS told (pupil, audience)
    WHERE assessment = $1 AND disclosures.pupil = told.pupil AND disclosures.audience = told.audience
"""


async def disclose(
    connection: Connection, assessment: Assessment, changes: Sequence[Change], events: Sequence[UUID]
) -> None:
    """Remember what each audience is told now, and by which event."""
    shown = [(c, c.mark, e) for c, e in zip(changes, events, strict=True) if c.mark is not None]
    if shown:
        await connection.execute(
            _DISCLOSE,
            assessment.id,
            [c.pupil for c, _, _ in shown],
            [c.audience for c, _, _ in shown],
            [m.score for _, m, _ in shown],
            [m.code for _, m, _ in shown],
            [m.comment for _, m, _ in shown],
            [e for _, _, e in shown],
            assessment.version,
            assessment.now,
        )
    await _forget(connection, assessment, changes)


async def _forget(connection: Connection, assessment: Assessment, changes: Sequence[Change]) -> None:
    gone = [c for c in changes if c.told is Told.WITHDRAWN]
    if gone:
        await connection.execute(_FORGET, assessment.id, [c.pupil for c in gone], [c.audience for c in gone])


_KEEP = f"""
    WITH put AS (
        INSERT INTO marks (assessment, pupil, score, code, comment)
        SELECT $1, pupil, score, code, comment
        FROM unnest($2::uuid[], $3::numeric[], $4::text[], $5::text[]) AS given (pupil, score, code, comment)
        ON CONFLICT (assessment, pupil) DO UPDATE
            SET score = excluded.score, code = excluded.code, comment = excluded.comment, version = marks.version + 1
        RETURNING new.pupil, new.score, new.code, new.comment, old.pupil IS NOT NULL AS stood,
                  old.score AS old_score, old.code AS old_code, old.comment AS old_comment
    ), logged AS (
        INSERT INTO mark_changes (assessment, pupil, changed_at, changed_by, old, new, reason)
        SELECT $1, pupil, clock_timestamp(), $6,
               CASE WHEN stood THEN
                   jsonb_build_object('score', old_score::text, 'code', old_code, 'comment', old_comment)
               END,
               jsonb_build_object('score', score::text, 'code', code, 'comment', comment), $7
        FROM put
    ), told AS (
        {_TOLD}
        SELECT $1, pupil, audience, score, code, comment, $8, event, $9, $9, (SELECT term FROM assessments WHERE id = $1)
        FROM unnest($10::uuid[], $11::text[], $12::uuid[]) AS told (pupil, audience, event) JOIN put USING (pupil)
        {_TOLD_AGAIN}
    ), entry AS ({RECORD_CTE.format(uai="$17", caller="$18", action="$19", object="$20", outcome="$21", request="$22")})
    {APPEND_CTE.format(topics="$13", keys="$14", headers="$15", values="$16")}
"""  # noqa: S608 - made of constants


async def keep_marks(
    connection: Connection,
    assessment: Assessment,
    new: Mapping[UUID, Mark],
    reason: str | None,
    changes: Sequence[Change],
    events: Sequence[Outgoing],
    entry: Entry,
) -> None:
    """Store marks, the history of each, what audiences are told of them, the entry and the events, in one statement.

    `events` are those of `changes`, in their order. The caller holds the locks of `marks_locks`.
    """
    given = new.values()
    shown = [(c, event.envelope.id) for c, event in zip(changes, events, strict=True) if c.mark is not None]
    await connection.execute(
        _KEEP,
        assessment.id,
        list(new),
        [mark.score for mark in given],
        [mark.code for mark in given],
        [mark.comment for mark in given],
        entry.caller,
        reason,
        assessment.version,
        assessment.now,
        [change.pupil for change, _ in shown],
        [change.audience for change, _ in shown],
        [event for _, event in shown],
        *columns(events),
        *values(entry),
    )
    await _forget(connection, assessment, changes)


def _json(mark: Mark | None) -> str | None:
    if mark is None:
        return None
    score = None if mark.score is None else str(mark.score)
    return json.dumps({"score": score, "code": mark.code, "comment": mark.comment})


async def remove_mark(
    connection: Connection, assessment: UUID, pupil: UUID, old: Mark, changed_by: str, reason: str | None
) -> None:
    """Take a mark away, and keep who did and why."""
    await connection.execute("DELETE FROM marks WHERE assessment = $1 AND pupil = $2", assessment, pupil)
    await connection.execute(
        "INSERT INTO mark_changes (assessment, pupil, changed_at, changed_by, old, reason)"
        " VALUES ($1, $2, clock_timestamp(), $3, $4::jsonb, $5)",
        assessment,
        pupil,
        changed_by,
        _json(old),
        reason,
    )


async def history(connection: Connection, assessment: UUID, pupil: UUID) -> list[dict[str, Any]]:
    """A mark's changes, oldest first; at most a thousand."""
    rows = await connection.fetch(
        "SELECT changed_at, changed_by, old, new, reason FROM mark_changes"
        " WHERE assessment = $1 AND pupil = $2 ORDER BY id LIMIT 1000",
        assessment,
        pupil,
    )
    return [
        {
            "changed_at": row["changed_at"].isoformat(),
            "changed_by": row["changed_by"],
            "old": json.loads(row["old"]) if row["old"] else None,
            "new": json.loads(row["new"]) if row["new"] else None,
            "reason": row["reason"],
        }
        for row in rows
    ]


_SEEN = """
    SELECT a.id, a.uai, a.school_year, a.group_id, a.subject_code, a.subject_label, a.title, a.held_on, a.term, a.out_of,
           a.coefficient, a.optional, a.bonus, d.score, d.code, d.comment, d.first_published_at, d.updated_at
    FROM (
        SELECT assessment FROM disclosures
        WHERE pupil = $1 AND audience = $2 AND {wanted}
          AND ($3::uuid IS NULL OR (first_published_at, assessment) < (
              SELECT first_published_at, assessment FROM disclosures
              WHERE assessment = $3 AND pupil = $1 AND audience = $2))
        ORDER BY first_published_at DESC, assessment DESC LIMIT $4
    ) AS page
    JOIN disclosures d ON d.assessment = page.assessment AND d.pupil = $1 AND d.audience = $2
    JOIN assessments a ON a.id = d.assessment
    ORDER BY d.first_published_at DESC, a.id DESC
"""
_SEEN_EVER = _SEEN.format(wanted="true")
_SEEN_OF_TERM = _SEEN.format(wanted="term = $5")


async def seen_grades(
    connection: Connection, pupil: UUID, audience: str, before: UUID | None, limit: int, term: UUID | None = None
) -> list[Record]:
    """The grades of a pupil that an audience may see at this moment, of one term or all, latest published first."""
    if term is None:
        return await connection.fetch(_SEEN_EVER, pupil, audience, before, limit)
    return await connection.fetch(_SEEN_OF_TERM, pupil, audience, before, limit, term)


_STANDING = """
    SELECT a.id, a.uai, a.school_year, a.group_id, a.subject_code, a.subject_label, a.title, a.held_on, a.term, a.out_of,
           a.coefficient, a.optional, a.bonus, m.score, m.code, m.comment,
           coalesce(a.published_at, a.created_at) AS first_published_at,
           coalesce(a.published_at, a.created_at) AS updated_at
    FROM marks m JOIN assessments a ON a.id = m.assessment
    WHERE m.pupil = $1 AND a.withdrawn_at IS NULL AND ($2::uuid IS NULL OR a.id < $2)
      AND ($4::uuid IS NULL OR a.term = $4)
    ORDER BY a.id DESC LIMIT $3
"""


async def standing_grades(
    connection: Connection, pupil: UUID, before: UUID | None, limit: int, term: UUID | None = None
) -> list[Record]:
    """The marks of a pupil that stand, shown or not yet, latest assessment first: what staff may see."""
    return await connection.fetch(_STANDING, pupil, before, limit, term)


_YEARS = """
    SELECT DISTINCT a.school_year FROM {marks} AS m JOIN assessments AS a ON a.id = m.assessment
    WHERE m.pupil = $1 AND {shown} ORDER BY a.school_year DESC
"""
# The marks of each assessment are gathered apart: joined, they are read from the first to the last of the county's.
_OF_CLASSES = """
    WITH own AS MATERIALIZED (
        SELECT DISTINCT a.group_id, a.subject_code, a.term FROM {marks} AS m JOIN assessments AS a ON a.id = m.assessment
        WHERE m.pupil = $1 AND {shown} AND a.school_year = $3
    )
    SELECT a.term, a.held_on, a.subject_code, a.subject_label, a.out_of, a.coefficient, a.optional, a.bonus,
           (a.group_id, a.subject_code, a.term) IN (SELECT group_id, subject_code, term FROM own) AS of_pupil,
           of_class.pupils, of_class.scores, of_class.codes
    FROM assessments AS a CROSS JOIN LATERAL (
        SELECT array_agg(m.pupil) AS pupils, array_agg(m.score) AS scores, array_agg(m.code) AS codes
        FROM {marks} AS m WHERE m.assessment = a.id AND {shown}
    ) AS of_class
    WHERE a.group_id = ANY (ARRAY(SELECT group_id FROM own UNION SELECT unnest($4::uuid[])))
      AND a.term = ANY (ARRAY(SELECT term FROM own)) AND of_class.pupils IS NOT NULL
    ORDER BY a.held_on, a.id
"""
_SEEN_BY_AUDIENCE = {"marks": "disclosures", "shown": "m.audience = $2"}
_STANDING_FOR_STAFF = {"marks": "marks", "shown": "a.withdrawn_at IS NULL AND $2::text IS NULL"}


async def school_years(connection: Connection, pupil: UUID, audience: str | None) -> list[int]:
    """The school years in which an audience (None: staff) sees marks of a pupil, latest first."""
    rows = await connection.fetch(_YEARS.format_map(_marks_for(audience)), pupil, audience)
    return [row["school_year"] for row in rows]


async def of_classes(
    connection: Connection, pupil: UUID, audience: str | None, school_year: int, groups: Iterable[UUID]
) -> list[Assessed]:
    """What an audience (None: staff) sees of a school year, in the terms in which it sees marks of the pupil.

    That is of the groups in which the pupil has such marks, and of the other groups named, those of classmates.
    """
    statement = _OF_CLASSES.format_map(_marks_for(audience))
    return [_assessed(row) for row in await connection.fetch(statement, pupil, audience, school_year, list(groups))]


def _marks_for(audience: str | None) -> dict[str, str]:
    return _STANDING_FOR_STAFF if audience is None else _SEEN_BY_AUDIENCE


def _assessed(row: Record) -> Assessed:
    values = dict(row)
    marks = zip(values.pop("pupils"), values.pop("scores"), values.pop("codes"), strict=True)
    return Assessed(**values, marks={pupil: Mark(score, code) for pupil, score, code in marks})


@dataclass(frozen=True, slots=True)
class Standing:
    """What an audience sees of a grade, as it was told; `old` is the mark a correction replaced, where one did."""

    assessment: Assessment
    pupil: UUID
    audience: str
    disclosure: Disclosure
    updated_at: datetime
    old: Mark | None
    supersedes: UUID | None


_DISCLOSED_AFTER = """
    SELECT assessment, pupil, audience FROM disclosures
    WHERE $1::uuid IS NULL OR (assessment, pupil, audience) > ($1, $2::uuid, $3::text)
    ORDER BY assessment, pupil, audience LIMIT $4
"""
_STANDING_FACTS = f"""
    SELECT {_COLUMNS}, d.pupil, d.audience, d.score, d.code, d.comment, d.assessment_version, d.event,
           d.first_published_at, d.updated_at, d.old_score, d.old_code, d.old_comment, d.supersedes
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS wanted (assessment, pupil, audience)
    JOIN disclosures d USING (assessment, pupil, audience) JOIN assessments ON id = d.assessment
    ORDER BY d.assessment, d.pupil, d.audience
"""  # noqa: S608 - made of constants
_OF_STANDING = (
    *("pupil", "audience", "score", "code", "comment", "assessment_version", "event", "first_published_at"),
    *("updated_at", "old_score", "old_code", "old_comment", "supersedes"),
)

Disclosed = tuple[UUID, UUID, str]
"""Which grade was disclosed to whom: assessment, pupil, audience."""


async def disclosed_after(connection: Connection, place: Disclosed | None, limit: int) -> list[Disclosed]:
    """What is disclosed, in one order, after a place."""
    rows = await connection.fetch(_DISCLOSED_AFTER, *(place or (None, None, None)), limit)
    return [(row["assessment"], row["pupil"], row["audience"]) for row in rows]


async def standing(connection: Connection, wanted: Sequence[Disclosed]) -> list[Standing]:
    """What audiences see of these grades at this moment; those they see no more are left out."""
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], []]
    return [_standing(row) for row in await connection.fetch(_STANDING_FACTS, *columns)]


def _standing(row: Record) -> Standing:
    found = {name: row[name] for name in _OF_STANDING}
    return Standing(
        _assessment(row),
        found["pupil"],
        found["audience"],
        Disclosure(_mark(row), found["assessment_version"], found["event"], found["first_published_at"]),
        found["updated_at"],
        None if found["supersedes"] is None else Mark(found["old_score"], found["old_code"], found["old_comment"]),
        found["supersedes"],
    )
