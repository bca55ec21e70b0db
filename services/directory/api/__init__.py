"""The HTTP side of the directory: parse, call a use case, answer."""

from __future__ import annotations

from fastapi import APIRouter

from services.directory.api import audit, groups, guardians, me, people, schools

router = APIRouter(prefix="/v1")
for part in (me, schools, groups, people, guardians, audit):
    router.include_router(part.router)
