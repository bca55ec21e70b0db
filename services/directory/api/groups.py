"""Groups, their pupils and teachers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chassis.routes import By, Db, Write
from services.directory.api.parts import IfMatch, named, names, shown, tagged, write
from services.directory.schemas import GroupChange, GroupIn, Period, TeachingIn
from services.directory.usecases import groups
from services.directory.usecases.groups import ClassList

router = APIRouter()


@router.post("/groups", status_code=201, operation_id="createGroup")
async def create_group(request: Request, body: GroupIn, by: By, writes: Write) -> Response:
    """Create a group in a school year of the school."""
    return await write(request, writes, by, lambda c: groups.create(c, by, body), 201)


@router.get("/groups/{id}", operation_id="readGroup")
async def read_group(id: UUID, by: By, database: Db) -> Response:
    """A group with the names of its pupils and teachers, for its teachers and who oversees the school."""
    async with database.transaction() as connection:
        found = await groups.read(connection, by, id)
    return JSONResponse(_class_list(found), headers=tagged(found.entity))


@router.patch("/groups/{id}", operation_id="changeGroup")
async def change_group(
    request: Request, id: UUID, body: GroupChange, by: By, writes: Write, if_match: IfMatch = None
) -> Response:
    """Change a group; what is left out stays."""
    return await write(request, writes, by, lambda c: groups.change(c, by, id, body, if_match))


@router.delete("/groups/{id}", operation_id="endGroup")
async def end_group(request: Request, id: UUID, by: By, writes: Write) -> Response:
    """End a group; it stays known."""
    return await write(request, writes, by, lambda c: groups.end(c, by, id))


@router.put("/groups/{id}/pupils/{person}", operation_id="putPupil")
async def put_pupil(request: Request, id: UUID, person: UUID, body: Period, by: By, writes: Write) -> Response:
    """Make a pupil a member for a period; answers the pupil."""
    return await write(request, writes, by, lambda c: groups.put_pupil(c, by, id, person, body))


@router.delete("/groups/{id}/pupils/{person}", operation_id="withdrawPupil")
async def withdraw_pupil(request: Request, id: UUID, person: UUID, by: By, writes: Write) -> Response:
    """End a membership today; answers the pupil."""
    return await write(request, writes, by, lambda c: groups.withdraw_pupil(c, by, id, person))


@router.put("/groups/{id}/teachers/{person}", operation_id="putTeacher")
async def put_teacher(request: Request, id: UUID, person: UUID, body: TeachingIn, by: By, writes: Write) -> Response:
    """Give a teacher the group; answers the group."""
    return await write(request, writes, by, lambda c: groups.put_teacher(c, by, id, person, body))


@router.delete("/groups/{id}/teachers/{person}", operation_id="withdrawTeacher")
async def withdraw_teacher(request: Request, id: UUID, person: UUID, by: By, writes: Write) -> Response:
    """End what ties a teacher to the group, today; answers the group."""
    return await write(request, writes, by, lambda c: groups.withdraw_teacher(c, by, id, person))


def _class_list(found: ClassList) -> dict[str, Any]:
    document = shown(found.entity)
    for teaching in document["teachers"]:
        teaching.update(names(found.teachers.get(UUID(teaching["person"]))))
    pupils = [
        {**named(person.id, person), **membership.model_dump(mode="json", include={"starts", "ends"})}
        for person, membership in found.pupils
    ]
    return {**document, "pupils": pupils}
