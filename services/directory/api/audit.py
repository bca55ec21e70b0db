"""The audit trail of a school."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from chassis import audit
from chassis.routes import By, Db, Limit
from contracts.directory import school_key
from services.directory.api.parts import Uai
from services.directory.usecases.standing import leading

router = APIRouter()
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


@router.get("/schools/{uai}/audit", operation_id="readDirectoryAudit")
async def read_audit(uai: Uai, by: By, database: Db, before: Before = None, limit: Limit = 100) -> dict[str, Any]:
    """Who wrote, read or was refused what at the school, newest first; `next` goes into `before`."""
    async with database.connection() as connection:
        await leading(connection, by, uai, "audit.read", school_key(uai))
        found = await audit.page(connection, uai, before, limit)
    return {"entries": found.entries, "next": found.next}
