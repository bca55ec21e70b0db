"""Grade facts for guardians, and notify's tables around the small school."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from chassis.consumer import Received
from chassis.database import Connection, Database
from contracts import grades
from contracts.catalogue import example
from contracts.envelope import Audience, Event, new_id
from contracts.grades import GradeCorrected, GradePublished, GradeWithdrawn, Mark
from roster import replica
from services.notify.settings import NotifySettings
from services.notify.usecases import telling
from services.notify.usecases.telling import Memory
from tests.rosters import UAI, key_of, received, uid

MEMORY = Memory(timedelta(hours=72), timedelta(days=30))
GRADE = uid("grade")


def published(score: str = "12", pupil: str = "zoé", grade: UUID = GRADE, **changes: Any) -> GradePublished:
    """A grade guardians may see now."""
    one = GradePublished.model_validate_json(example("grades.grade.published.v1"))
    values = {"mark": Mark(score=Decimal(score)), **_place(pupil, grade), **changes}
    return one.model_copy(update=values)


def corrected(old: str, new: str, pupil: str = "zoé", grade: UUID = GRADE, **changes: Any) -> GradeCorrected:
    """That grade is another now."""
    one = GradeCorrected.model_validate_json(example("grades.grade.corrected.v1"))
    marks = {"old": Mark(score=Decimal(old)), "new": Mark(score=Decimal(new)), "supersedes": UUID(new_id())}
    return one.model_copy(update={**marks, **_place(pupil, grade), **changes})


def withdrawn(pupil: str = "zoé", grade: UUID = GRADE, **changes: Any) -> GradeWithdrawn:
    """It no longer stands."""
    one = GradeWithdrawn.model_validate_json(example("grades.grade.withdrawn.v1"))
    return one.model_copy(update={"withdraws": UUID(new_id()), **_place(pupil, grade), **changes})


def _place(pupil: str, grade: UUID) -> dict[str, Any]:
    return {
        "pupil": uid(pupil),
        "grade": grade,
        "uai": UAI,
        "audience": Audience.GUARDIANS,
        "at": datetime.now(UTC) - timedelta(milliseconds=200),
    }


def came(event: Event, **envelope: Any) -> Received:
    """A grade event as a consumer gets it."""
    assert isinstance(event, GradePublished | GradeCorrected | GradeWithdrawn)
    one = received(grades.pupil_key(event.pupil), event, source=grades.SOURCE)
    return one._replace(envelope=one.envelope._replace(id=new_id(), **envelope))


async def tell(database: Database, *events: Event | Received) -> None:
    """Queue what these events tell, as the consumer does."""
    async with database.transaction() as connection:
        some = [one if isinstance(one, Received) else came(one) for one in events]
        await telling.tell(connection, some, ["email"], MEMORY)


async def learn(connection: Connection, documents: Sequence[Event | Received]) -> None:
    """Bring the roster and the contacts up to these documents, as the consumer does."""
    events = [one if isinstance(one, Received) else received(key_of(one), one) for one in documents]
    await replica.apply(connection, events)
    await telling.know(connection, events)


def settings(port: int, **more: Any) -> NotifySettings:
    """Settings for a mail server on this machine."""
    given = {
        "database_url": "postgresql://x", "kafka": "127.0.0.1:1", "token_public_key": "x", "smtp_host": "127.0.0.1",
        "smtp_port": port, "smtp_tls": "none", "smtp_seconds": 5, "sender_address": "ne-pas-repondre@preau.exemple.fr",
        "public_url": "https://preau.exemple.fr",
    }  # fmt: skip
    return NotifySettings.model_validate(given | more)
