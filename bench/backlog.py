"""Published grades as an outbox holds them, made by the database itself: real events, a hundred thousand in two seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from chassis.database import Connection
from chassis.outbox import dump, encode_headers, outgoing
from contracts import grades
from contracts.catalogue import example
from contracts.envelope import to_headers
from contracts.grades import GradePublished, pupil_key

_PUPIL = UUID("2282bd15-4bc5-5882-ab79-25e9d099d936")
_GRADE = UUID("a52b2ae6-22de-51e6-9442-b8687d26fe85")
_ASSESSMENT = UUID("d1c3fbfc-7f6c-5f0e-8c59-4b3b7f0c1d11")
_TITLE = "Contrôle 0"
_SCORE = "12.345"
_EVENT = "019c0000-0000-7000-8000-000000000000"

# Two events of each grade, for pupils and for guardians, one after the other as the grades service writes them; thirty
# pupils to an assessment, whose marks differ.
_RECORDS = f"""
    SELECT $1::text AS topic, replace($3, '{_PUPIL}', pupil) AS key,
           replace(replace(replace($4, '{_PUPIL}', pupil), '{_EVENT}', event), 'guardians', audience) AS headers,
           convert_to(replace(replace(replace(replace(replace(replace($5, '{_PUPIL}', pupil), '{_GRADE}', grade),
               'guardians', audience), '{_ASSESSMENT}', assessment), '{_TITLE}', title), '{_SCORE}', score), 'UTF8') AS value
    FROM (
        SELECT n, md5('pupil' || n / 2)::uuid::text AS pupil, md5($6 || n / 2)::uuid::text AS grade,
               md5($6 || 'event' || n)::uuid::text AS event, (ARRAY['pupils', 'guardians'])[1 + n % 2] AS audience,
               md5($6 || 'assessment' || n / 60)::uuid::text AS assessment, 'Contrôle ' || n / 60 AS title,
               ((n / 2 * 7 % 41) / 2.0)::numeric(3, 1)::text AS score
        FROM generate_series(0, $2::integer - 1) AS n
    ) AS made ORDER BY n
"""  # noqa: S608 - made of constants
_FILL = f"INSERT INTO outbox (topic, key, headers, value) {_RECORDS}"


def _arguments(topic: str, count: int, name: str) -> tuple[str, int, str, str, str, str]:
    fact = GradePublished.model_validate_json(example(GradePublished.TYPE), strict=False)
    assessment = fact.assessment.model_copy(update={"id": _ASSESSMENT, "title": _TITLE})
    mark = fact.mark.model_copy(update={"score": Decimal(_SCORE)})
    changes = {"grade": _GRADE, "pupil": _PUPIL, "assessment": assessment, "mark": mark, "at": datetime.now(UTC)}
    fact = fact.model_copy(update=changes)
    key = pupil_key(_PUPIL)
    made = outgoing(
        grades.TOPIC,
        fact,
        source=grades.SOURCE,
        key=key,
        uai=fact.uai,
        audience=fact.audience,
        directory_position=1,
        event_id=_EVENT,
    )
    return topic, count, key, encode_headers(to_headers(made.envelope)), dump(fact).decode(), name


async def fill(connection: Connection, topic: str, count: int, name: str) -> None:
    """Owe so many events to a topic; each `name` gives grades of its own, of the same pupils."""
    await connection.execute(_FILL, *_arguments(topic, count, name), timeout=300)


async def records(connection: Connection, count: int, name: str) -> list[tuple[bytes, str, bytes]]:
    """The same as key, headers as the outbox keeps them, and value."""
    rows = await connection.fetch(_RECORDS, *_arguments("", count, name), timeout=300)
    return [(row["key"].encode(), row["headers"], row["value"]) for row in rows]
