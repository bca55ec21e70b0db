"""Scopes of open streams: read once, kept up with the directory and the calendar; what can't be known is refused."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from contracts.directory import LinkKind, RoleName
from contracts.envelope import Event
from roster.facts import parse
from roster.scopes import from_facts
from roster.store import ReaderScopes
from services.gateway.stream.directory_log import Change, DirectoryLog, change
from services.gateway.stream.reader import Reader
from services.gateway.stream.rights import Rights, RosterBehind
from services.gateway.stream.turns import keep_dates
from tests import rosters
from tests.gateway.fakes import Socket
from tests.rosters import UAI, link, pupil, school, uid

ZOE = f"guardians:pupils/{uid('zoé')}"


def changed(sequence: int, document: Event) -> Change:
    key = rosters.key_of(document)
    return change(sequence, key, document.model_dump_json())


class Scene:
    """Rights over a log that begins with the topic, on a day of the test's."""

    def __init__(self, most: int = 100) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self._began: float | None = None
        self.log = DirectoryLog(most)
        self.log.complete()
        self.rights = Rights(self.log, self.moment)
        self.told: list[frozenset[str]] = []
        self.rights.on_change = lambda _, scopes: self.told.append(scopes)
        self.rights.apply(changed(1, school()))

    def moment(self) -> datetime:
        """What the clock says: the day of the test's, which stands still until it is run."""
        run = 0.0 if self._began is None else time.monotonic() - self._began
        return self.now + timedelta(seconds=run)

    def run_from(self, moment: datetime) -> None:
        """Have the clock run on from a moment."""
        self.now, self._began = moment, time.monotonic()

    def read(self, person: UUID, position: int, *documents: Event) -> ReaderScopes:
        """What the roster would read at a position."""
        known = {rosters.key_of(d): parse(rosters.key_of(d), d.model_dump_json()) for d in documents}
        scopes = {key: from_facts(one, person, self.rights.schools) for key, one in known.items() if one}
        return ReaderScopes(position, scopes, self.rights.schools)


def reader(person: UUID) -> Reader:
    return Reader(Socket(), UUID(int=1), UUID(int=2), person)


def test_a_change_after_the_read_counts() -> None:
    scene = Scene()
    scene.rights.apply(changed(2, pupil("zoé", [link("mother")])))
    scene.rights.apply(changed(3, pupil("zoé", [])))
    mother = uid("mother")
    scopes = scene.rights.attach(reader(mother), mother, scene.read(mother, 2, pupil("zoé", [link("mother")])))
    assert scopes == frozenset()


def test_a_link_that_comes_and_goes_is_told() -> None:
    scene = Scene()
    mother, stream = uid("mother"), reader(uid("mother"))
    assert scene.rights.attach(stream, mother, scene.read(mother, 1)) == frozenset()
    scene.rights.apply(changed(2, pupil("zoé", [link("mother")])))
    assert ZOE in scene.told[-1]
    scene.rights.apply(changed(3, pupil("zoé", [link("father")])))
    assert scene.told[-1] == frozenset()
    scene.rights.detach(stream)
    scene.rights.apply(changed(4, pupil("zoé", [link("mother")])))
    assert len(scene.told) == 2


def test_a_tombstone_ends_what_it_gave() -> None:
    scene = Scene()
    mother = uid("mother")
    scene.rights.attach(reader(mother), mother, scene.read(mother, 1, pupil("zoé", [link("mother")])))
    scene.rights.apply(change(2, f"people/{uid('zoé')}", None))
    assert scene.told == [frozenset()]


def test_a_repeat_changes_nothing() -> None:
    scene = Scene()
    mother = uid("mother")
    scene.rights.attach(reader(mother), mother, scene.read(mother, 1))
    scene.rights.apply(changed(3, pupil("zoé", [])))
    scene.rights.apply(changed(2, pupil("zoé", [link("mother")])))
    assert scene.told == []


def test_a_roster_that_is_too_far_behind_is_not_trusted() -> None:
    scene = Scene(most=2)
    for sequence in range(2, 6):
        scene.rights.apply(changed(sequence, pupil(f"pupil {sequence}")))
    mother = uid("mother")
    with pytest.raises(RosterBehind):
        scene.rights.attach(reader(mother), mother, scene.read(mother, 2))
    scene.rights.attach(reader(mother), mother, scene.read(mother, 3))


def test_a_date_that_is_reached_ends_a_right_at_midnight_of_the_school() -> None:
    scene = Scene()
    mother, stream = uid("mother"), reader(uid("mother"))
    document = pupil("zoé", [link("mother", ends=date(2026, 11, 24))])
    assert ZOE in scene.rights.attach(stream, mother, scene.read(mother, 1, document))
    assert scene.rights.seconds_to_midnight() == 11 * 3600
    scene.now = datetime(2026, 11, 23, 22, 59, 59, tzinfo=UTC)
    scene.rights.judge(stream)
    assert ZOE in scene.told[-1]
    days = scene.rights.days()
    scene.now = datetime(2026, 11, 23, 23, 0, 0, tzinfo=UTC)
    assert scene.rights.days() != days
    scene.rights.judge(stream)
    assert scene.told[-1] == frozenset()


async def test_a_date_is_told_within_a_second_of_midnight() -> None:
    scene = Scene()
    mother, stream = uid("mother"), reader(uid("mother"))
    document = pupil("zoé", [link("mother", ends=date(2026, 11, 24))])
    assert ZOE in scene.rights.attach(stream, mother, scene.read(mother, 1, document))
    midnight = datetime(2026, 11, 23, 23, tzinfo=UTC)
    told: asyncio.Future[tuple[frozenset[str], datetime]] = asyncio.get_running_loop().create_future()
    scene.rights.on_change = lambda _, scopes: told.set_result((scopes, scene.moment()))
    scene.run_from(midnight - timedelta(seconds=0.3))
    task = asyncio.create_task(keep_dates(scene.rights))
    try:
        scopes, at = await asyncio.wait_for(told, 5)
    finally:
        task.cancel()
    assert scopes == frozenset()
    assert timedelta() <= at - midnight < timedelta(seconds=1)


def test_the_hour_that_a_summer_adds_is_no_obstacle() -> None:
    scene = Scene()
    scene.now = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    assert scene.rights.seconds_to_midnight() == 25 * 3600


def test_what_a_school_opens_is_read_anew() -> None:
    scene = Scene()
    asked: list[int] = []
    scene.rights.on_school = asked.append
    scene.rights.apply(changed(2, school(name="Renamed")))
    assert asked == []
    scene.rights.apply(changed(3, school(opened_to=[LinkKind.PERSON_IN_CHARGE])))
    assert asked == [3]
    assert scene.rights.schools[UAI].reads(LinkKind.PERSON_IN_CHARGE)


def test_a_stream_opened_by_what_was_read_before_a_school_changed_is_read_anew() -> None:
    scene = Scene()
    nanny, document = uid("nanny"), pupil("zoé", [link("nanny", LinkKind.PERSON_IN_CHARGE)])
    before = scene.read(nanny, 2, document)
    scene.rights.apply(changed(2, document))
    scene.rights.apply(changed(3, school(opened_to=[LinkKind.PERSON_IN_CHARGE])))
    asked: list[int] = []
    scene.rights.on_school = asked.append
    scene.rights.attach(stream := reader(nanny), nanny, before)
    assert asked == [3]
    assert scene.rights.read_before(3) == (stream,)
    scene.rights.attach(stream, nanny, scene.read(nanny, 3, document))
    assert asked == [3]
    assert scene.rights.read_before(3) == ()


def test_what_a_roster_ahead_of_the_process_said_is_not_taken_back() -> None:
    scene = Scene()
    mother = uid("mother")
    assert scene.rights.attach(reader(mother), mother, scene.read(mother, 3, pupil("zoé", []))) == frozenset()
    scene.rights.apply(changed(2, pupil("zoé", [link("mother")])))
    scene.rights.apply(changed(3, pupil("zoé", [])))
    assert scene.told == []
    scene.rights.apply(changed(4, pupil("zoé", [link("mother")])))
    assert ZOE in scene.told[-1]


def test_who_has_left_sees_nothing_whatever_still_points_at_them() -> None:
    scene = Scene()
    mother, child = uid("mother"), pupil("zoé", [link("mother")])
    gone = rosters.adult("mother").model_copy(update={"ended": True})
    scene.rights.attach(reader(mother), mother, scene.read(mother, 1, child))
    scene.rights.apply(changed(2, gone))
    assert scene.told == [frozenset()]
    scene.rights.apply(changed(3, child))
    assert scene.told[-1] == frozenset()
    scene.rights.apply(changed(4, rosters.adult("mother")))
    assert ZOE in scene.told[-1]


def test_staff_follow_their_groups() -> None:
    scene = Scene()
    teacher, stream = uid("teacher"), reader(uid("teacher"))
    person = rosters.adult("teacher", RoleName.TEACHER)
    scopes = scene.rights.attach(stream, teacher, scene.read(teacher, 1, person))
    assert scopes == {f"staff:schools/{UAI}"}
    scene.rights.apply(changed(2, rosters.group(teachers=["teacher"])))
    assert scene.told[-1] == {f"staff:schools/{UAI}", f"staff:groups/{uid('3A')}"}
    scene.rights.apply(changed(3, rosters.group(teachers=["other"])))
    assert scene.told[-1] == {f"staff:schools/{UAI}"}
