"""The HTTP side of grades: parse, authorise, call a use case, answer."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response

from chassis import audit
from chassis.database import Connection
from chassis.idempotency import Answer
from chassis.problems import FieldError, invalid
from chassis.routes import By, Db, Limit, Write
from roster.oversight import may_read_audit
from services.grades import store, usecases
from services.grades.schemas import (
    AssessmentChange,
    AssessmentIn,
    MarksIn,
    ReasonIn,
    assessment_out,
    averages_out,
    grade_out,
)
from services.grades.store import Assessment

router = APIRouter(prefix="/v1")
Uai = Annotated[str, Path(pattern=r"^[0-9]{7}[A-Z]$")]
Year = Annotated[int | None, Query(ge=1, le=9999)]
_ETAG = re.compile(r'^"(\d{1,9})"$')


def _answer(status: int, found: Assessment) -> Answer:
    headers = {"ETag": f'"{found.version}"'}
    if status == 201:
        headers["Location"] = f"/v1/assessments/{found.id}"
    return Answer(status, assessment_out(found), headers)


@router.post("/assessments", status_code=201, operation_id="createAssessment")
async def create_assessment(request: Request, body: AssessmentIn, by: By, writes: Write) -> Response:
    """Create an assessment for a group the caller teaches; its marks are shown once it is published and due."""

    async def work(connection: Connection) -> Answer:
        return _answer(201, await usecases.create_assessment(connection, by, body.values()))

    return await writes.run(request, by, work)


@router.get("/assessments", operation_id="listAssessments")
async def list_assessments(
    by: By, database: Db, group: UUID, before: UUID | None = None, limit: Limit = 50
) -> dict[str, Any]:
    """The assessments of a group, latest first, for who teaches it or leads its school."""
    async with database.transaction() as connection:
        around = await usecases.setting(connection, by, group)
        if around is None or not (around.teaches() or around.leads()):
            raise audit.Refused(by, "assessments.read", f"groups/{group}", around.group.uai if around else None)
        found = await store.assessments_of(connection, group, before, limit)
    following = str(found[-1].id) if len(found) == limit else None
    return {"assessments": [assessment_out(one) for one in found], "next": following}


@router.get("/assessments/{id}", operation_id="readAssessment")
async def read_assessment(id: UUID, by: By, database: Db) -> Response:
    """One assessment with its marks, for who teaches its group or leads its school."""
    async with database.transaction() as connection:
        found = await usecases.readable(connection, by, id)
        entry = audit.Entry(by.subject, "assessment.read", f"assessments/{id}", found.uai)
        await audit.record(connection, entry)
        marks = await store.marks(connection, id)
    return Answer(200, assessment_out(found, marks), {"ETag": f'"{found.version}"'}).response()


@router.patch("/assessments/{id}", operation_id="changeAssessment")
async def change_assessment(
    request: Request, id: UUID, body: AssessmentChange, by: By, writes: Write, if_match: Annotated[str, Header()]
) -> Response:
    """Change an assessment; `If-Match` names the version that was read (412 when it is another by now)."""
    match = _ETAG.match(if_match)
    if match is None:
        raise invalid([FieldError("If-Match", "etag", "Give the ETag of the assessment as it was read")])
    version = int(match[1])

    async def work(connection: Connection) -> Answer:
        return _answer(200, await usecases.change_assessment(connection, by, id, version, body.values()))

    return await writes.run(request, by, work)


@router.post("/assessments/{id}/marks", operation_id="putMarks")
async def put_marks(request: Request, id: UUID, body: MarksIn, by: By, writes: Write) -> Response:
    """Set a class's marks in one request, all or none; a pupil's other mark is a correction, the same one nothing."""
    pupils = [mark.pupil for mark in body.marks]
    marks = [mark.mark() for mark in body.marks]

    async def work(connection: Connection) -> Answer:
        return _answer(200, await usecases.put_marks(connection, by, id, pupils, marks, body.reason))

    return await writes.run(request, by, work, locks=usecases.marks_locks(id, pupils))


@router.delete("/assessments/{id}/marks/{pupil}", operation_id="withdrawMark")
async def withdraw_mark(
    request: Request, id: UUID, pupil: UUID, by: By, writes: Write, body: ReasonIn | None = None
) -> Response:
    """Withdraw one pupil's mark; whoever saw it is told."""

    async def work(connection: Connection) -> Answer:
        return _answer(200, await usecases.remove_mark(connection, by, id, pupil, body.reason if body else None))

    return await writes.run(request, by, work)


@router.post("/assessments/{id}/publication", operation_id="publishAssessment")
async def publish_assessment(request: Request, id: UUID, by: By, writes: Write) -> Response:
    """Publish an assessment: each audience sees its marks from its due time on."""

    async def work(connection: Connection) -> Answer:
        return _answer(200, await usecases.publish(connection, by, id))

    return await writes.run(request, by, work)


@router.post("/assessments/{id}/withdrawal", operation_id="withdrawAssessment")
async def withdraw_assessment(request: Request, id: UUID, by: By, writes: Write) -> Response:
    """Withdraw an assessment; whoever saw a mark of it is told. Publishing it again shows the marks again."""

    async def work(connection: Connection) -> Answer:
        return _answer(200, await usecases.withdraw(connection, by, id))

    return await writes.run(request, by, work)


@router.get("/assessments/{id}/marks/{pupil}/history", operation_id="readMarkHistory")
async def read_history(id: UUID, pupil: UUID, by: By, database: Db) -> dict[str, Any]:
    """Who changed a mark, when, from what to what, and why; oldest first."""
    async with database.transaction() as connection:
        await usecases.readable(connection, by, id)
        return {"changes": await store.history(connection, id, pupil)}


@router.get("/pupils/{id}/grades", operation_id="listGrades")
async def list_grades(
    id: UUID, by: By, database: Db, term: UUID | None = None, before: UUID | None = None, limit: Limit = 50
) -> dict[str, Any]:
    """A pupil's grades, of one term or all, as the reader may see them now, latest first; `audience` says as whom."""
    async with database.transaction() as connection:
        audience = await usecases.audience_of(connection, by, id)
        if audience == "staff":
            rows = await store.standing_grades(connection, id, before, limit, term)
        else:
            rows = await store.seen_grades(connection, id, audience, before, limit, term)
    following = str(rows[-1]["id"]) if len(rows) == limit else None
    return {"audience": audience, "grades": [grade_out(row) for row in rows], "next": following}


@router.get("/pupils/{id}/averages", operation_id="readAverages")
async def read_averages(id: UUID, by: By, database: Db, school_year: Year = None) -> dict[str, Any]:
    """A pupil's averages of a school year (without one, the latest), made of what the reader sees at this moment.

    `class` has the class's lowest, mean and highest average, beside each subject's and beside the general one: from five
    averages on that the reader might see, null below. `evolution` says what each came to after the marks of each day, by
    the day on which they were held. `school_years` are those in which the reader sees marks of the pupil, latest first.
    """
    async with database.transaction() as connection:
        found = await usecases.averages(connection, by, id, school_year)
    return {"audience": found.audience, "school_years": found.school_years, "terms": averages_out(found.terms)}


@router.get("/schools/{uai}/audit", operation_id="readGradesAudit")
async def read_audit(uai: Uai, by: By, database: Db, asked: audit.Asked, limit: Limit = 100) -> dict[str, Any]:
    """What staff wrote and read of grades at a school, and what was refused; for its head and operators."""
    async with database.transaction() as connection:
        await may_read_audit(connection, by, uai)
        return (await audit.page(connection, uai, asked, limit)).document()
