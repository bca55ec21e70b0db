"""Who am I."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from chassis.routes import By, Db
from services.directory.api.parts import named
from services.directory.usecases.me import Child, me

router = APIRouter()


@router.get("/me", operation_id="readMe")
async def read_me(by: By, database: Db) -> dict[str, Any]:
    """Names, roles with school names, children with class and school; `person` is null for an operator."""
    async with database.connection() as connection:
        found = await me(connection, by)
    return {
        "person": named(found.person.id, found.person) if found.person else None,
        "operator": by.operator,
        "roles": [{**role.model_dump(mode="json"), "school_name": school} for role, school in found.roles],
        "children": [_child(child) for child in found.children],
    }


def _child(child: Child) -> dict[str, Any]:
    return {
        **named(child.person.id, child.person),
        "class": str(child.class_.id) if child.class_ else None,
        "class_name": child.class_.name if child.class_ else None,
        "uai": child.school.uai,
        "school_name": child.school.name,
    }
