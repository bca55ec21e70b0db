"""The fan-out: nothing missed, nothing doubled, whatever the reader does; rights as they are when it is written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.stream.reader import State
from services.gateway.stream.ring import Ring
from tests.gateway.fakes import CURSORS, PERSON, Stage, chunks, events, last_id, offsets

MINE, OTHER = "guardians:pupils/mine", "guardians:pupils/other"


def test_an_idle_reader_gets_an_item_at_once() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    stage.publish(3, OTHER)
    stage.publish(4, MINE)
    assert offsets(socket) == [4]
    assert last_id(socket) == CURSORS.issue(1, 4, reader.digest)


def test_a_burst_is_gathered_into_one_write() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE, OTHER)
    stage.fanout.join(reader, None)
    before = socket.writes
    for offset in range(100):
        stage.publish(offset, MINE if offset % 3 else OTHER)
    assert offsets(socket) == [0]
    stage.settle()
    assert offsets(socket) == list(range(100))
    assert socket.writes == before + 2


def test_a_reader_without_a_cursor_begins_now_and_knows_where() -> None:
    stage = Stage()
    stage.publish(5, MINE)
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    assert offsets(socket) == []
    assert last_id(socket) == CURSORS.issue(1, 5, reader.digest)


def test_a_slow_reader_falls_back_to_its_position_and_gets_the_rest_joined() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE, room=300)
    stage.fanout.join(reader, None)
    for offset in range(50):
        stage.publish(offset, MINE)
        stage.settle()
    assert reader.paused
    got = len(offsets(socket))
    assert 0 < got < 10
    writes, socket.room = socket.writes, 1 << 30
    stage.fanout.resume(reader)
    assert offsets(socket) == list(range(50))
    assert socket.writes == writes + 1
    stage.clock.pass_time(60)
    assert not socket.closed


def test_a_reader_that_never_reads_is_cut() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE, room=0)
    stage.fanout.join(reader, None)
    stage.clock.pass_time(31)
    assert socket.aborted
    assert len(stage.fanout) == 0
    stage.publish(1, MINE)


def test_a_joined_write_is_bounded() -> None:
    stage = Stage(joined_bytes=500)
    for offset in range(100):
        stage.publish(offset, MINE)
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, -1)
    before = socket.writes
    stage.settle()
    assert offsets(socket) == list(range(100))
    assert socket.writes > before + 10


def test_rights_are_those_of_the_moment_of_writing() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE, OTHER, room=0)
    stage.fanout.join(reader, -1)
    stage.fanout.pause(reader)
    stage.publish(1, OTHER)
    stage.publish(2, MINE)
    reader.paused = False
    stage.fanout.change(reader, frozenset({MINE}))
    assert [(name, data) for name, data, _ in events(socket.received)] == [
        ("item", b"2"),
        ("scope-removed", b'{"scope":"%b"}' % OTHER.encode()),
    ]
    stage.settle()
    stage.publish(3, OTHER)
    stage.settle()
    assert offsets(socket) == [2]


def test_a_scope_that_comes_is_told_and_the_cursor_is_another() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    stage.fanout.change(reader, frozenset({MINE, OTHER}))
    name, data, cursor = events(socket.received)[-1]
    assert (name, data) == ("scope-added", b'{"scope":"%b"}' % OTHER.encode())
    assert CURSORS.read(cursor).reader == CURSORS.reader(str(PERSON), [MINE, OTHER])
    stage.settle()
    stage.publish(0, OTHER)
    assert offsets(socket) == [0]


def test_a_reader_that_can_not_be_told_of_a_change_is_ended() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE, room=0)
    stage.fanout.join(reader, None)
    stage.fanout.change(reader, frozenset())
    assert socket.aborted
    assert reader.state is State.CLOSED


def test_nothing_is_sent_while_held_and_nothing_is_lost() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    stage.fanout.hold()
    silent = socket.received
    for offset in range(3):
        stage.publish(offset, MINE)
    for _ in range(60):
        stage.fanout.beat()
    stage.settle()
    assert socket.received == silent
    stage.fanout.release()
    stage.settle()
    assert offsets(socket) == [0, 1, 2]


def test_heartbeats_carry_a_quiet_readers_cursor_forward() -> None:
    stage = Stage(most_items=2)
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    for offset in range(10):
        stage.publish(offset, OTHER)
    for _ in range(60):
        stage.fanout.beat()
    assert last_id(socket) == CURSORS.issue(1, 9, reader.digest)
    stage.publish(10, MINE)
    assert offsets(socket) == [10]


def test_a_place_this_process_has_not_reached_is_waited_for_then_reset() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, 5)
    for offset in (4, 5, 6):
        stage.publish(offset, MINE)
    stage.settle()
    assert offsets(socket) == [6]
    lost, other = stage.reader(MINE)
    stage.fanout.join(lost, 1000)
    stage.settle()
    for _ in range(180):
        stage.fanout.beat()
    assert [name for name, _, _ in events(other.received)] == ["reset"]
    stage.publish(7, MINE)
    stage.settle()
    assert offsets(other) == [7]


def test_an_orderly_end_is_the_end_of_the_body() -> None:
    stage = Stage()
    reader, socket = stage.reader(MINE)
    stage.fanout.join(reader, None)
    stage.fanout.end(reader)
    assert chunks(socket.received)[-1] == b""
    assert socket.closed


class Course:
    """A reader and its client through a course of events; the client comes back with the last id it was told."""

    def __init__(self, joined_bytes: int) -> None:
        self.stage = Stage(joined_bytes=joined_bytes)
        self.expected: list[int] = []
        self._got: list[int] = []
        self._offset = -1
        self._known = CURSORS.issue(1, -1, CURSORS.reader(str(PERSON), [MINE, OTHER]))
        self._come(None)

    def _come(self, position: int | None) -> None:
        self.reader, self.socket = self.stage.reader(MINE, OTHER)
        self.stage.fanout.join(self.reader, position)

    def publish(self, scope: str) -> None:
        self._offset += 1
        self.stage.publish(self._offset, scope)
        if scope in (MINE, OTHER):
            self.expected.append(self._offset)

    def block(self) -> None:
        self.socket.room = 0

    def unblock(self) -> None:
        self.socket.room = 1 << 30
        if self.reader.paused:
            self.stage.fanout.resume(self.reader)

    def beat(self) -> None:
        for _ in range(60):
            self.stage.fanout.beat()

    def reconnect(self) -> None:
        self._got += offsets(self.socket)
        self._known = last_id(self.socket) or self._known
        self.stage.fanout.leave(self.reader)
        self._come(CURSORS.read(self._known).offset)

    def end(self) -> list[int]:
        """Let everything come, and say what the client got."""
        self.stage.fanout.release()
        self.unblock()
        self.stage.settle()
        return self._got + offsets(self.socket)


plain = st.sampled_from(["block", "unblock", "reconnect", "hold", "release", "beat"])
steps = st.one_of(st.sampled_from([MINE, OTHER, "staff:schools/x"]), st.floats(0, 0.02), plain)


@given(st.lists(steps, max_size=80), st.integers(50, 2000))
def test_over_any_course_of_events_nothing_is_missed_and_nothing_doubled(
    steps: list[str | float], joined_bytes: int
) -> None:
    course = Course(joined_bytes)
    actions = {
        "block": course.block,
        "unblock": course.unblock,
        "reconnect": course.reconnect,
        "hold": course.stage.fanout.hold,
        "release": course.stage.fanout.release,
        "beat": course.beat,
    }
    for step in steps:
        if isinstance(step, float):
            course.stage.clock.pass_time(step)
        elif step in actions:
            actions[step]()
        else:
            course.publish(step)
    assert course.end() == course.expected


def test_another_generation_tells_each_reader_before_it_sends_anything_of_it() -> None:
    stage = Stage()
    told, told_socket = stage.reader(MINE)
    full, full_socket = stage.reader(MINE)
    changed, changed_socket = stage.reader(MINE, OTHER)
    for reader in (told, full, changed):
        stage.fanout.join(reader, None)
    stage.fanout.pause(full)
    ring = Ring(10, 1 << 20)
    ring.begin_at(500)
    stage.fanout.turn_to(2, ring)
    stage.publish(500, MINE)
    stage.settle()
    for _ in range(60):
        stage.fanout.beat()
    assert {CURSORS.read(last_id(socket) or "").generation for socket in (told_socket, changed_socket)} == {1}
    assert not any(offsets(socket) for socket in (told_socket, full_socket, changed_socket))
    for reader in (told, full):
        stage.fanout.renew(reader)
    stage.fanout.change(changed, frozenset({MINE}))
    assert [name for name, _, _ in events(full_socket.received)] == []
    stage.fanout.resume(full)
    for socket in (told_socket, full_socket, changed_socket):
        name, data, cursor = events(socket.received)[0]
        assert (name, data) == ("reset", b'{"reason":"other-generation"}')
        assert (CURSORS.read(cursor).generation, CURSORS.read(cursor).offset) == (2, 500)
    stage.settle()
    stage.publish(501, MINE)
    stage.settle()
    assert [offsets(socket) for socket in (told_socket, full_socket, changed_socket)] == [[501]] * 3
