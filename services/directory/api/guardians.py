"""What ties adults to a pupil."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from chassis.routes import By, Db, Write
from services.directory.api.parts import names, tagged, write
from services.directory.schemas import GuardianIn
from services.directory.usecases import guardians

router = APIRouter()


@router.get("/pupils/{id}/guardians", operation_id="listGuardians")
async def list_guardians(id: UUID, by: By, database: Db) -> Response:
    """A pupil's links with the adults' names, past ones too."""
    async with database.transaction() as connection:
        found = await guardians.read(connection, by, id)
    links = [{**names(found.adults.get(link.person)), **link.model_dump(mode="json")} for link in found.links]
    return JSONResponse({"guardians": links}, headers=tagged(found.entity))


@router.put("/pupils/{id}/guardians/{person}", operation_id="putGuardian")
async def put_guardian(request: Request, id: UUID, person: UUID, body: GuardianIn, by: By, writes: Write) -> Response:
    """Grant or date a right; answers the pupil."""
    return await write(request, writes, by, lambda c: guardians.put_link(c, by, id, person, body))


@router.delete("/pupils/{id}/guardians/{person}", operation_id="withdrawGuardian")
async def withdraw_guardian(request: Request, id: UUID, person: UUID, by: By, writes: Write) -> Response:
    """Withdraw a right, now; answers the pupil."""
    return await write(request, writes, by, lambda c: guardians.withdraw(c, by, id, person))
