"""What routes take, as FastAPI dependencies: who calls, the database, writes, the length of a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from chassis.database import Database
from chassis.idempotency import Writes
from chassis.identity import Caller, caller


# A dependency that is no coroutine costs a thread's turn.
async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _writes(request: Request) -> Writes:
    writes: Writes = request.app.state.writes
    return writes


By = Annotated[Caller, Depends(caller)]
"""Who calls; 401 for whoever has not said."""
Db = Annotated[Database, Depends(_database)]
"""The service's database, for reads; the app's `state.database`."""
Write = Annotated[Writes, Depends(_writes)]
"""How writes are run; the app's `state.writes`."""
Limit = Annotated[int, Query(ge=1, le=200)]
"""How many entries a page may have."""
