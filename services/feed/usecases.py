"""What the feed service does: keep the history, and read it for who may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NotRequired
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter
from pydantic_core import to_json
from typing_extensions import TypedDict

from chassis.audit import Refused
from chassis.consumer import Received
from chassis.cursor import BadCursor, Cursors
from chassis.database import Connection
from chassis.forwarding import Turn
from chassis.identity import Caller
from chassis.problems import FieldError, Problem, busy
from chassis.sending import Ready
from contracts import feed
from contracts.directory import Uai, person_key
from contracts.envelope import Audience, following
from roster import store as roster
from roster.oversight import school_of_pupil
from services.feed import domain, store
from services.feed.store import Generation, Item


def turner(generation: int) -> Turn:
    """What a generation's projector does with a domain's event."""
    return partial(_turn, generation)


def replay_name(generation: int) -> str:
    """The name under which domains replay for a generation."""
    return f"{feed.TOPIC}-{generation}"


def _turn(generation: int, event: Received) -> Ready | None:
    """The feed's record for a domain's event: it keeps the cause's time, sequence, trace and place in the directory.

    A replay is for the generation that asked for it alone: in any other it would be old news.
    """
    if event.value is None:
        return None
    if event.envelope.replay and event.envelope.replay_for != replay_name(generation):
        return None
    item = domain.item_of(event.envelope, event.value)
    if item is None:
        return None
    key = f"{event.envelope.source.removeprefix('/')}:{event.envelope.key}"
    headers = following(event.record.headers, item.event.TYPE, feed.SOURCE)
    return Ready(feed.topic_of(generation), key.encode(), to_json(item.fields), headers)


async def keep(connection: Connection, events: Sequence[Received], generation: int) -> None:
    """Take a batch of a generation's topic into its history; of several states of one item the newest counts.

    What comes again, or late, is known by the sequence that is kept with each item.
    """
    items: dict[UUID, Item] = {}
    for event in events:
        if event.value is not None and event.envelope.type in _KINDS:
            item = _item(event, event.value)
            known = items.get(item.id)
            if known is None or known.sequence < item.sequence:
                items[item.id] = item
    await store.keep(connection, generation, max(event.record.offset for event in events), list(items.values()))


_KINDS = (feed.ItemPut.TYPE, feed.ItemRemoved.TYPE)


class _Columns(TypedDict):
    """What the history reads of an item, whose bytes the projector made of the whole contract."""

    id: UUID
    scope: feed.Scope
    audience: Audience
    uai: Uai
    category: feed.Category
    published_at: NotRequired[AwareDatetime]
    updated_at: AwareDatetime


_columns = TypeAdapter(_Columns).validator


def _item(event: Received, value: bytes) -> Item:
    read = _columns.validate_json(value)
    return Item(
        read["id"],
        f"{read['audience']}:{read['scope']}",
        read["uai"],
        read["category"],
        read.get("published_at") or read["updated_at"],
        event.record.offset,
        event.envelope.type == feed.ItemRemoved.TYPE,
        value,
        event.envelope.sequence or 0,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads what: all scopes held (they make the cursor), and those wanted now."""

    person: UUID
    held: frozenset[str]
    wanted: list[str]


async def reading(connection: Connection, caller: Caller, child: UUID | None) -> Reading:
    """What the caller may read at this moment, narrowed to one child where asked; raises `Refused`."""
    if caller.person is None:
        raise Refused(caller, "feed.read", "feed")
    scopes = await roster.read_scopes(connection, caller.person)
    held = scopes.held(datetime.now(UTC))
    if child is None:
        return Reading(caller.person, held, sorted(held))
    of_child = {scope.text for scope in scopes.by_key.get(person_key(child), ())}
    wanted = sorted(held & of_child)
    if not any(scope.endswith(feed.pupil_scope(child)) for scope in wanted):
        raise Refused(caller, "feed.read", person_key(child), await school_of_pupil(connection, child))
    return Reading(caller.person, held, wanted)


def unknown_lineage() -> Problem:
    """The answer while, in a database that took a lost one's place, the first generation only seems to serve."""
    return busy("Which generation was announced last is being looked up.")


async def serving(connection: Connection) -> Generation:
    """The generation that is read; raises a 503 `Problem` while it is not known which."""
    found = await store.serving(connection)
    if found is None:
        raise unknown_lineage()
    return found


class CursorReset(Problem):
    """A cursor that cannot be honoured: read the first page and stream from its cursor."""

    def __init__(self, reason: str) -> None:
        super().__init__(410, f"cursor-{reason}", "This cursor cannot be continued; begin with the first page")


def place(cursors: Cursors, text: str, reader: Reading, generation: int) -> int:
    """The offset a catch-up goes on from; raises a 400 problem or `CursorReset`."""
    try:
        cursor = cursors.read(text)
    except BadCursor as error:
        rule = FieldError("after", "cursor", "Not a cursor of this feed")
        raise Problem(400, "bad-cursor", "Not a cursor of this feed", errors=[rule]) from error
    if cursor.generation != generation:
        raise CursorReset("generation")
    if cursor.reader != cursors.reader(str(reader.person), reader.held):
        raise CursorReset("scopes")
    return cursor.offset
