"""The audit trail of a school."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from chassis import audit
from chassis.routes import By, Db, Limit
from contracts.directory import school_key
from services.directory.api.parts import Uai
from services.directory.usecases.standing import leading

router = APIRouter()


@router.get("/schools/{uai}/audit", operation_id="readDirectoryAudit")
async def read_audit(uai: Uai, by: By, database: Db, asked: audit.Asked, limit: Limit = 100) -> dict[str, Any]:
    """Who wrote, read or was refused what at the school, newest first; for its head and operators.

    `service` names another service's trail (grades, feed).
    `person`: by them or about them; `since` is included, `until` is not; `next` goes into `before`.
    """
    async with database.connection() as connection:
        await leading(connection, by, uai, "audit.read", school_key(uai))
        return (await audit.page(connection, uai, asked, limit)).document()
