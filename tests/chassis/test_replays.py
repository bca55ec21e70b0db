"""Replays: order whatever comes between, a bounded outbox, and a walk that goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chassis import replays
from chassis.consumer import Received
from chassis.database import Connection, Database
from chassis.outbox import Outgoing, decode_headers, outgoing
from chassis.repeats import newer
from chassis.replays import Place, Replays, Visible
from contracts.directory import Beat
from contracts.envelope import Envelope, from_headers


@dataclass
class World:
    """A domain's facts by key, its log in Kafka, and when the new generation began to listen."""

    state: dict[str, int | None] = field(default_factory=dict)
    log: list[tuple[str, int, int | None]] = field(default_factory=list)
    begins: int = 0

    def write(self, key: str, value: int | None) -> None:
        self.state[key] = value
        self._append(key, value)

    def replay(self, key: str) -> None:
        """Under the key's lock: what is read is what stands when the sequence is drawn."""
        if self.state.get(key) is not None:
            self._append(key, self.state[key])

    def _append(self, key: str, value: int | None) -> None:
        self.log.append((key, len(self.log), value))

    def taken_in(self, delivered: Sequence[tuple[str, int, int | None]]) -> dict[str, int]:
        """What a history holds after a delivery, by the one rule of repeats."""
        values = {sequence: value for _, sequence, value in self.log}
        events = [Received(envelope(key, sequence), b"", None) for key, sequence, _ in delivered]
        found: dict[str, int] = {}
        for event in newer(events, {}):
            value = values[event.envelope.sequence or 0]
            if value is None:
                found.pop(event.envelope.key, None)
            else:
                found[event.envelope.key] = value
        return found


def envelope(key: str, sequence: int) -> Envelope:
    return Envelope(id="i", type="t", source="/s", subject=key, key=key, time=datetime.now(UTC), sequence=sequence)


KEYS = "abc"
WRITES = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.integers(0, 9)), max_size=6)


@given(before=WRITES, late=WRITES, between=st.lists(WRITES, min_size=3, max_size=3), after=WRITES, data=st.data())
def test_a_history_built_from_a_replay_is_the_state_whatever_is_written_meanwhile(
    before: list[tuple[str, int | None]],
    late: list[tuple[str, int | None]],
    between: list[list[tuple[str, int | None]]],
    after: list[tuple[str, int | None]],
    data: st.DataObject,
) -> None:
    world = World()
    for write in before:
        world.write(*write)
    world.begins = len(world.log)
    for write in late:
        world.write(*write)
    for key, writes in zip(KEYS, between, strict=True):
        world.replay(key)
        for write in writes:
            world.write(*write)
    for write in after:
        world.write(*write)
    told = world.log[world.begins :]
    # A relay or a projector that was killed sends a part of what it had sent again.
    cut = data.draw(st.integers(0, len(told)))
    again = data.draw(st.integers(0, cut))
    delivered = [*told[:cut], *told[again:]]
    assert world.taken_in(delivered) == {key: value for key, value in world.state.items() if value is not None}


async def _after(_: Connection, place: str | None, limit: int) -> list[Place]:
    names = [f"k{n:02}" for n in range(10)]
    return [Place(name, name) for name in names if place is None or name > place][:limit]


async def _facts(_: Connection, places: Sequence[str]) -> list[Outgoing]:
    # One of them is withdrawn between the walk and the lock.
    return [outgoing("t", Beat(), source="/s", key=place) for place in places if place != "k04"]


async def owed(database: Database) -> list[Envelope]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT key, headers FROM outbox ORDER BY id")
    return [from_headers(decode_headers(row["headers"]), row["key"].encode()) for row in rows]


async def progress(database: Database) -> replays.Progress | None:
    async with database.connection() as connection:
        return await replays.progress(connection, "feed-2")


async def test_a_replay_walks_in_batches_and_another_process_goes_on_where_one_was_killed(database: Database) -> None:
    async with database.transaction() as connection:
        await replays.begin(connection, "feed-2")
        assert await replays.begin(connection, "feed-2") == replays.Progress("feed-2", 0, False)
    assert await Replays(database, Visible(_after, _facts), batch=4).step()
    one_more = Replays(database, Visible(_after, _facts), batch=4)
    while await one_more.step():
        pass
    found = await owed(database)
    assert [one.key for one in found] == [f"k{n:02}" for n in range(10) if n != 4]
    assert {(one.replay, one.replay_for) for one in found} == {(True, "feed-2")}
    assert await progress(database) == replays.Progress("feed-2", 9, False)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM outbox")
    while await one_more.step():
        pass
    assert await progress(database) == replays.Progress("feed-2", 9, True)
    assert not await one_more.step()


async def test_a_replay_waits_for_the_outbox_to_drain(database: Database) -> None:
    async with database.transaction() as connection:
        await replays.begin(connection, "feed-2")
    walk = Replays(database, Visible(_after, _facts), batch=2, most_owed=3)
    while await walk.step():
        pass
    assert len(await owed(database)) == 4
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM outbox")
    assert await walk.step()
