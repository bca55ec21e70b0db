"""Schools and their groups."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from chassis.routes import By, Db, Limit, Write
from contracts.directory import GroupKind
from services.directory.api.parts import IfMatch, Uai, shown, tagged, write
from services.directory.schemas import SchoolChange, SchoolIn
from services.directory.usecases import groups, schools

router = APIRouter()
After = Annotated[str, Query(pattern=r"^([0-9]{7}[A-Z])?$")]


@router.get("/schools", operation_id="listSchools")
async def list_schools(by: By, database: Db, after: After = "", limit: Limit = 100) -> dict[str, Any]:
    """The schools the caller is something at; every school for an operator."""
    async with database.connection() as connection:
        found = await schools.listed(connection, by, after, limit)
    following = found[-1].key.removeprefix("schools/") if len(found) == limit else None
    return {"schools": [shown(one) for one in found], "next": following}


@router.post("/schools", status_code=201, operation_id="createSchool")
async def create_school(request: Request, body: SchoolIn, by: By, writes: Write) -> Response:
    """Create a school; operators only."""
    return await write(request, writes, by, lambda c: schools.create(c, by, body), 201)


@router.get("/schools/{uai}", operation_id="readSchool")
async def read_school(uai: Uai, by: By, database: Db) -> Response:
    """A school with its years, terms and settings."""
    async with database.connection() as connection:
        found = await schools.read(connection, by, uai)
    return JSONResponse(shown(found), headers=tagged(found))


@router.patch("/schools/{uai}", operation_id="changeSchool")
async def change_school(
    request: Request, uai: Uai, body: SchoolChange, by: By, writes: Write, if_match: IfMatch = None
) -> Response:
    """Change a school; what is left out stays."""
    return await write(request, writes, by, lambda c: schools.change(c, by, uai, body, if_match))


@router.get("/schools/{uai}/groups", operation_id="listGroups")
async def list_groups(
    uai: Uai, by: By, database: Db, kind: GroupKind | None = None, teacher: Literal["me"] | None = None
) -> dict[str, Any]:
    """A school's groups: all for who oversees it, those they teach for a teacher."""
    async with database.connection() as connection:
        found = await groups.listed(connection, by, uai, kind, teacher == "me")
    return {"groups": [shown(one) for one in found]}
