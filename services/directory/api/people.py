"""People and their roles."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chassis.database import Connection
from chassis.idempotency import Answer
from chassis.routes import By, Db, Write
from contracts.directory import RoleName
from services.directory.api.parts import POSITION, IfMatch, Uai, shown, tagged, write
from services.directory.schemas import Period, PersonChange, PersonIn
from services.directory.usecases import people

router = APIRouter()


@router.post("/people", status_code=201, operation_id="createPerson")
async def create_person(request: Request, body: PersonIn, by: By, writes: Write) -> Response:
    """Create a person with at least one role."""
    return await write(request, writes, by, lambda c: people.create(c, by, body), 201)


@router.get("/people/{id}", operation_id="readPerson")
async def read_person(id: UUID, by: By, database: Db) -> Response:
    """A person: oneself, or somebody of a school that the caller oversees."""
    async with database.transaction() as connection:
        found = await people.read(connection, by, id)
    return JSONResponse(shown(found), headers=tagged(found))


@router.patch("/people/{id}", operation_id="changePerson")
async def change_person(
    request: Request, id: UUID, body: PersonChange, by: By, writes: Write, if_match: IfMatch = None
) -> Response:
    """Change a person; what is left out stays, null empties."""
    return await write(request, writes, by, lambda c: people.change(c, by, id, body, if_match))


@router.delete("/people/{id}", operation_id="endPerson")
async def end_person(request: Request, id: UUID, by: By, writes: Write, erase: bool = False) -> Response:
    """A person leaves: all their rights end. With `erase`, an operator erases one who has left."""
    if not erase:
        return await write(request, writes, by, lambda c: people.end(c, by, id))

    async def work(connection: Connection) -> Answer:
        return Answer(204, None, {POSITION: str(await people.erase(connection, by, id))})

    return await writes.run(request, by, work)


@router.put("/people/{id}/roles/{uai}/{role}", operation_id="putRole")
async def put_role(
    request: Request, id: UUID, uai: Uai, role: RoleName, body: Period, by: By, writes: Write
) -> Response:
    """Give a role at a school for a period."""
    return await write(request, writes, by, lambda c: people.put_role(c, by, id, uai, role, body))


@router.delete("/people/{id}/roles/{uai}/{role}", operation_id="withdrawRole")
async def withdraw_role(request: Request, id: UUID, uai: Uai, role: RoleName, by: By, writes: Write) -> Response:
    """End a role today."""
    return await write(request, writes, by, lambda c: people.withdraw_role(c, by, id, uai, role))
