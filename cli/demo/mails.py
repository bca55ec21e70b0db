"""The e-mails of a demo run: read from the local mailbox, and judged by the same checker as the streams.

A stream that is away catches up; an e-mail that was not to be sent never comes. So a right counts for what was written
after it was granted, and known to have been.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import aiohttp

from cli import demo_school as school
from cli.demo.checker import Fault, Finding, Kind, Ledger, Right, Seen, Verdict
from cli.demo.reader import grade_key
from cli.demo.stage import GUARDIANS, Stage

_POLL_SECONDS = 0.1
_PAGE = 200
_SHOWN = 4
_SECONDS = 10.0
_ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS)
_CORRECTED, _WITHDRAWN = "note corrigée, ", "note retirée"


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail as the mailbox gives it."""

    to: str
    subject: str
    text: str
    message_id: str
    at: float


def seen(mail: Mail, reader: str, pupils: Mapping[str, str]) -> Seen:
    """What an e-mail told its reader; `pupils` are ids by given name. Raises KeyError for one about nobody of them."""
    child, _, rest = mail.subject.partition(" · ")
    state: str | None = rest.rpartition(": ")[2].removeprefix(_CORRECTED)
    scope = f"pupils/{pupils[child]}"
    title = _details(mail.text).partition("\n")[0].partition(" · ")[0]
    told = None if state == _WITHDRAWN else state
    return Seen(reader, mail.at, Kind.LIVE, grade_key(title, scope), f"guardians:{scope}", told, mail.message_id)


def _mail(document: Mapping[str, Any]) -> Mail:
    at = datetime.fromisoformat(document["received_at"]).timestamp()
    return Mail(document["to"][0], document["subject"], document["text"] or "", document["message_id"], at)


def _details(text: str) -> str:
    """The third paragraph, after greeting and headline."""
    paragraphs = text.replace("\r\n", "\n").split("\n\n")
    return paragraphs[2] if len(paragraphs) > 2 else ""


def judge(ledger: Ledger, told: Sequence[Seen], until: float, readers: Collection[str]) -> Verdict:
    """What the checker says of e-mails; `readers` are those who have an address."""
    mine = [right for right in ledger.rights if right.reader in readers and right.scope.startswith("guardians:")]
    verdict = Ledger(ledger.writes, mine, ledger.ours).judge(told, until)
    findings = [f for f in verdict.findings if f.fault is not Fault.LOST or _owed(ledger, mine, f)]
    return replace(verdict, findings=findings)


def _owed(ledger: Ledger, rights: Sequence[Right], finding: Finding) -> bool:
    """Whether the last state of a grade was written while its reader had the right."""
    written = [write for write in ledger.writes if write.key == finding.key]
    return any(
        right.reader == finding.reader
        and right.withdrawn is None
        and right.scope == f"guardians:{written[-1].scope}"
        and max(right.granted, right.known) <= written[-1].begun
        for right in rights
    )


def without_repeats(told: Sequence[Seen]) -> list[Seen]:
    """Each message once: whoever dies between the server's answer and their own note of it may send it again."""
    return list({(one.reader, one.cursor): one for one in reversed(told)}.values())[::-1]


async def opened(stage: Stage, url: str) -> Mailbox:
    """The mailbox of a stage's guardians."""
    addresses = {}
    for person in GUARDIANS:
        found = await stage.cast.operator.get(f"/v1/people/{person.id}")
        addresses[stage.reader(person).name] = found["email"]
    pupils = {one.given_name: str(one.id) for one in (school.PUPIL, school.BROTHER, school.FOSTERED)}
    return Mailbox(stage.cast.operator.session, url.rstrip("/"), addresses, pupils, stage.ledger.ours)


@dataclass
class Mailbox:
    """The local mailbox as the demo reads it; `addresses` are the readers' by their names."""

    session: aiohttp.ClientSession
    url: str
    addresses: Mapping[str, str]
    pupils: Mapping[str, str]
    ours: str
    told: list[Seen] = field(default_factory=list)
    last: list[tuple[str, str]] = field(default_factory=list)
    """Reader and subject of the last few."""
    _after: int = 0

    async def read(self) -> None:
        """Take in what came since the last time; raises what the network raises."""
        names = {address.lower(): name for name, address in self.addresses.items()}
        while messages := await self._page():
            for one in messages:
                if self.ours in (one["text"] or ""):
                    self._take(_mail(one), names)

    def _take(self, mail: Mail, names: Mapping[str, str]) -> None:
        reader = names.get(mail.to.lower())
        if reader is not None:
            self.told.append(seen(mail, reader, self.pupils))
            self.last = [*self.last, (reader, mail.subject)][-_SHOWN:]

    async def _page(self) -> list[dict[str, Any]]:
        asked = {"after": str(self._after), "limit": str(_PAGE)}
        async with self.session.get(f"{self.url}/messages.json", params=asked, timeout=_ANSWER_TIMEOUT) as answer:
            answer.raise_for_status()
            page = await answer.json()
        self._after = page["next"]
        found: list[dict[str, Any]] = page["messages"]
        return found

    async def settle(self, ledger: Ledger, seconds: float) -> Verdict:
        """Read until nothing is missing, or for so long; what the checker says then."""
        deadline = time.monotonic() + seconds
        while True:
            # A mailbox that is being started again answers a moment later.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self.read()
            verdict = judge(ledger, self.told, time.time(), self.addresses)
            if not any(f.fault is Fault.LOST for f in verdict.findings) or time.monotonic() > deadline:
                return verdict
            await asyncio.sleep(_POLL_SECONDS)
