"""What every route of the directory takes and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Path, Request, Response

from chassis.database import Connection
from chassis.idempotency import Answer, Writes
from chassis.identity import Caller
from contracts.directory import PersonChanged
from services.directory.store import Entity
from services.directory.usecases.standing import Done

POSITION = "Preau-Directory-Position"

Uai = Annotated[str, Path(pattern=r"^[0-9]{7}[A-Z]$")]
IfMatch = Annotated[str | None, Header(max_length=64)]


Intention = Callable[[Connection], Awaitable[Done]]


async def write(request: Request, writes: Writes, by: Caller, intention: Intention, status: int = 200) -> Response:
    """Do a writing intention and answer the document, its entity tag and the directory's position."""

    async def work(connection: Connection) -> Answer:
        done = await intention(connection)
        headers = {"ETag": f'"{done.entity.version}"', POSITION: str(done.position)}
        if status == 201:
            headers["Location"] = f"/v1/{done.entity.key}"
        return Answer(status, shown(done.entity), headers)

    return await writes.run(request, by, work)


def shown(entity: Entity) -> dict[str, Any]:
    """A document as the API shows it: as it is published."""
    return entity.document.model_dump(mode="json")


def tagged(entity: Entity) -> dict[str, str]:
    """The headers of a read that a change may come back to."""
    return {"ETag": f'"{entity.version}"'}


def names(person: PersonChanged | None) -> dict[str, Any]:
    """A person's names; null when the person is no longer there."""
    return {"given_name": person.given_name if person else None, "family_name": person.family_name if person else None}


def named(id: UUID, person: PersonChanged | None) -> dict[str, Any]:
    """An id with names."""
    return {"id": str(id), **names(person)}
