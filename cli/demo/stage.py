"""The stage of a demo run: the cast, the desks, the open streams, and how each step tells and checks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex

from cli import demo_school as school
from cli.demo.cast import Cast, desk_of, gathered, rights_of
from cli.demo.checker import Finding, Ledger, Verdict
from cli.demo.choices import told_everything
from cli.demo.client import session
from cli.demo.desk import Desk
from cli.demo.notes import Notes
from cli.demo.reader import News, Reader
from cli.demo.show import Tell

ARRIVAL_SECONDS = 10.0
TEACHER = school.TEACHER
GUARDIANS = (school.PARENT, school.SEPARATED, school.CONTACT, school.IN_CHARGE)
"""Those who may have e-mails of a child's grades."""
READERS = (*GUARDIANS, school.PUPIL, school.BROTHER)
CLASSES = {title: f"{title} Mathématiques" for title in school.CLASSES}


class StepFailed(Exception):
    """A step did not do what it should; the message says what."""


@dataclass
class Stage:
    """What a step works with."""

    cast: Cast
    ledger: Ledger
    notes: Notes
    tell: Tell
    desks: dict[str, Desk] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    posted_at: float | None = None
    """When the write was sent whose arrivals are being shown."""
    run: str = field(default_factory=lambda: f"{datetime.now(UTC):%d/%m %H:%M:%S} {token_hex(2)}")

    def title(self, what: str) -> str:
        """An assessment's title that no other run has."""
        return f"{what} ({self.run})"

    def reader(self, who: school.DemoPerson) -> Reader:
        """The stream of a demo person."""
        return self.readers[who.login]

    def since_post(self, at: float) -> float | None:
        """Milliseconds from the write that is shown."""
        return None if self.posted_at is None else round((at - self.posted_at) * 1000, 1)

    def arrived(self, news: News) -> None:
        """Show what a stream said: no first page, and of the scopes that come and go the children's alone."""
        if news.name in ("page", "open") or (news.name.startswith("scope") and ":pupils/" not in news.words):
            return
        words = news.words.replace(f" ({self.run})", "")
        if news.name in ("scope-added", "scope-removed", "reset"):
            words = f"{news.name} {words}"
        self.tell("arrival", reader=news.reader.name, what=news.name, words=words, ms=self.since_post(news.at))

    async def expect(self, condition: Callable[[], bool], what: str, seconds: float = ARRIVAL_SECONDS) -> None:
        """Wait for something to hold; raises `StepFailed` when it does not in time."""
        if not await self.notes.until(condition, seconds):
            raise StepFailed(f"{what}: not within {seconds:.0f} s")

    async def poll(self, probe: Callable[[], Awaitable[bool]], what: str, seconds: float = ARRIVAL_SECONDS) -> None:
        """Ask until something holds that no stream tells of; raises `StepFailed` when it does not in time."""
        deadline = time.monotonic() + seconds
        while not await probe():
            if time.monotonic() > deadline:
                raise StepFailed(f"{what}: not within {seconds:.0f} s")
            await asyncio.sleep(0.05)

    def missing(self) -> list[Finding]:
        """The acknowledged states that are due and have not arrived yet."""
        return [finding for finding in self.verdict().findings if finding.awaited]

    async def expect_all(self, what: str, seconds: float = ARRIVAL_SECONDS) -> None:
        """Wait until all that was acknowledged and is due has arrived at everyone who may see it."""
        if not await self.notes.until(lambda: not self.missing(), seconds):
            ended = [f"{reader.name}: {reader.refused}" for reader in self.readers.values() if reader.refused]
            missing = [f"{one.reader}: {one.key}: {one.what}" for one in self.missing()]
            raise StepFailed(f"{what}: not within {seconds:.0f} s: {[*ended, *missing][:5]}")

    def verdict(self) -> Verdict:
        """What the checker says of all that was noted so far: each stream tells every state."""
        return self.ledger.judge(self.notes.seen, time.time(), every_state=True)

    def got(self, who: school.DemoPerson, title: str) -> list[str | None]:
        """The states of an assessment's grades that a person's stream has shown, in order."""
        name = self.reader(who).name
        return [one.state for one in self.notes.seen if one.reader == name and one.key.startswith(f"{title} |")]

    def close_right(self, name: str, scope: str) -> None:
        """Enter that the withdrawal of a right was answered just now."""
        rights = self.ledger.rights
        for n, right in enumerate(rights):
            if (right.reader, right.scope, right.withdrawn) == (name, scope, None):
                rights[n] = replace(right, withdrawn=time.time())


@asynccontextmanager
async def staged(url: str, operator_token: str, tell: Tell, patience: float) -> AsyncIterator[Stage]:
    """Sign everybody in, lay the teacher's desks, open a stream for each reader; all is closed at the end."""
    ledger = Ledger()
    async with (
        session() as http,
        gathered(http, url, operator_token, [TEACHER.login, *(p.login for p in READERS)], patience) as cast,
        told_everything(cast.members[guardian.login].api for guardian in GUARDIANS),
    ):
        stage = _stage(cast, ledger, tell)
        ledger.ours = f"({stage.run})"
        try:
            await _prepare(stage)
            yield stage
        finally:
            for reader in stage.readers.values():
                await reader.hang_up()


def _stage(cast: Cast, ledger: Ledger, tell: Tell) -> Stage:
    stage = Stage(cast, ledger, Notes(), tell)
    stage.notes.on_news = stage.arrived
    return stage


async def _mend(cast: Cast) -> None:
    """Grant again what a run that was killed left withdrawn."""
    path = f"/v1/pupils/{school.PUPIL.id}/guardians"
    links = (await cast.operator.get(path))["guardians"]
    if not any(link["person"] == str(school.SEPARATED.id) and link["ends"] is None for link in links):
        await cast.operator.call("PUT", f"{path}/{school.SEPARATED.id}", {"kind": "legal_guardian"})


async def _prepare(stage: Stage) -> None:
    teacher = stage.cast.members[TEACHER.login].api
    for title, group in CLASSES.items():
        stage.desks[title] = await desk_of(teacher, stage.ledger, school.UAI, group)
    await _mend(stage.cast)
    pupils = [str(person.id) for person in (school.PUPIL, school.BROTHER, school.FOSTERED)]
    stage.ledger.rights += await rights_of(stage.cast, school.UAI, pupils)
    for person in READERS:
        member = stage.cast.members[person.login]
        stage.readers[person.login] = Reader(member.name, member.api, stage.notes.take)
        stage.readers[person.login].open()
    await stage.expect(lambda: all(reader.worker for reader in stage.readers.values()), "every stream is open")
    names = {str(p.id): p.given_name for p in (school.PUPIL, school.BROTHER, school.FOSTERED)}
    for reader in stage.readers.values():
        sees = [right.scope for right in stage.ledger.rights if right.reader == reader.name]
        told = [f"{scope.partition(':')[0]}:{names[scope.rpartition('/')[2]]}" for scope in sees]
        stage.tell("reader", name=reader.name, sees=told, worker=reader.worker)
