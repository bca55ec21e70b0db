"""Who oversees a school by the replica, and whose school an entry of the audit trail belongs to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.audit import Refused
from chassis.database import Connection
from chassis.identity import Caller
from contracts.directory import RoleName, school_key
from roster import store
from roster.scopes import DEFAULT_ZONE


async def may_read_audit(connection: Connection, caller: Caller, uai: str) -> None:
    """Refuse whoever is neither head of the school nor an operator."""
    if caller.operator is not None:
        return
    person = await store.person(connection, caller.person) if caller.person else None
    today = datetime.now(ZoneInfo(DEFAULT_ZONE)).date()
    if person is None or not person.has_role(RoleName.HEAD, uai, today):
        raise Refused(caller, "audit.read", school_key(uai), uai)


async def school_of_pupil(connection: Connection, pupil: UUID) -> str | None:
    """The school a person is a pupil of today, or was last; None for whom the replica does not know as one."""
    person = await store.person(connection, pupil)
    if person is None:
        return None
    today = datetime.now(ZoneInfo(DEFAULT_ZONE)).date()
    uais = [role.uai for role in person.roles if role.name is RoleName.PUPIL]
    current = [uai for uai in uais if person.has_role(RoleName.PUPIL, uai, today)]
    return next(iter([*current, *reversed(uais)]), None)
