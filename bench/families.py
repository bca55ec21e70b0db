"""A school of families for benchmarks of the stream: what the directory says of them, their accounts, and their items."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

import asyncpg
from aiokafka import AIOKafkaProducer

from chassis.sending import producer
from cli.first_start import until_known
from contracts import directory, feed
from contracts.directory import BEAT_KEY, GuardianLink, LinkKind, Membership, Role, RoleName
from contracts.envelope import Audience, Envelope, Event, Header, new_id, to_headers
from contracts.feed import Category, ItemPut, Text
from services.gateway.domain import Kind, digest, new_secret

UAI = "0921234S"
PUPILS_A_CLASS = 25
_YEAR = 2027
_NAMES = UUID("b6a63a2e-7d5d-5d39-8a4b-3c8f3b2f6a10")
_BEAT_SECONDS = 5.0
_TOKEN_SECONDS = 7200.0
_ACCOUNTS = """
    WITH made AS (
        INSERT INTO accounts (id, login, folded, person)
        SELECT person, person::text, person::text, person FROM unnest($1::uuid[]) AS new (person)
    )
    INSERT INTO credentials (id, kind, digest, account, name, expires_at)
    SELECT person, 'token', digest, person, 'bench', now() + make_interval(secs => $3)
    FROM unnest($1::uuid[], $2::bytea[]) AS new (person, digest)
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A pupil, and a legal guardian with the token of an account."""

    pupil: UUID
    group: UUID
    guardian: UUID
    token: str


def families(count: int) -> list[Family]:
    """So many families of one school, in classes."""
    return [
        Family(_id("pupil", n), _id("group", n // PUPILS_A_CLASS), _id("guardian", n), new_secret(Kind.TOKEN))
        for n in range(count)
    ]


def _id(what: str, number: int) -> UUID:
    return uuid5(_NAMES, f"{what} {number}")


# What the directory says


def _documents(known: Iterable[Family]) -> list[tuple[str, Event]]:
    """Every document by its key: the school, its classes, and both people of each family."""
    year = directory.SchoolYear(year=_YEAR, starts=date(2026, 9, 1), ends=date(2027, 7, 10))
    school = directory.SchoolChanged(uai=UAI, name="Collège", zone="Europe/Paris", school_years=[year], terms=[])
    found: dict[str, Event] = {directory.school_key(UAI): school}
    for family in known:
        group = directory.group_key(family.group)
        if group not in found:
            found[group] = directory.GroupChanged(
                id=family.group, uai=UAI, school_year=_YEAR, kind=directory.GroupKind.CLASS, name="3A", teachers=[]
            )
        found[directory.person_key(family.pupil)] = directory.PersonChanged(
            id=family.pupil,
            given_name="Zoé",
            family_name="Diallo",
            roles=[Role(name=RoleName.PUPIL, uai=UAI)],
            memberships=[Membership(group=family.group, uai=UAI)],
            guardians=[GuardianLink(person=family.guardian, kind=LinkKind.LEGAL_GUARDIAN)],
        )
        found[directory.person_key(family.guardian)] = directory.PersonChanged(
            id=family.guardian,
            given_name="Awa",
            family_name="Diallo",
            roles=[Role(name=RoleName.GUARDIAN, uai=UAI)],
        )
    return list(found.items())


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record ready to be sent."""

    key: bytes
    value: bytes
    headers: list[Header]


def _prepared(event: Event, source: str, key: str, sequence: int | None) -> Prepared:
    envelope = Envelope(
        id=new_id(), type=event.TYPE, source=source, subject=key, key=key, time=datetime.now(UTC), sequence=sequence
    )
    return Prepared(key.encode(), event.model_dump_json().encode(), to_headers(envelope))


class Items:
    """Items of the feed, each with a number of its own in its id."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def of(self, scope: str) -> tuple[bytes, Prepared]:
        """An item for the guardians of a scope: its id as it stands in the document, and its record."""
        number, now = next(self._numbers), datetime.now(UTC)
        item = ItemPut(
            id=UUID(int=number),
            scope=scope,
            audience=Audience.GUARDIANS,
            uai=UAI,
            school_year=_YEAR,
            category=Category.GRADES,
            title=Text(fr="Mathématiques : 14,5 sur 20", en="Mathematics: 14.5 out of 20"),
            summary=Text(fr="Contrôle sur les fractions, coefficient 2", en="Test on fractions, coefficient 2"),
            published_at=now,
            updated_at=now,
            href=f"/v1/grades/{UUID(int=number)}",
        )
        return str(item.id).encode(), _prepared(item, feed.SOURCE, f"grades:{scope}", number)


class Town:
    """The benchmark in the place of directory and feed: it says on their topics what they would say."""

    def __init__(self, sender: AIOKafkaProducer) -> None:
        self._sender = sender

    async def send(self, topic: str, records: Sequence[Prepared]) -> None:
        """Send records in order; returns once all are acknowledged."""
        await asyncio.gather(*await self.hand_over(topic, records))

    async def hand_over(self, topic: str, records: Sequence[Prepared]) -> list[asyncio.Future[object]]:
        """Begin to send records in order; returns what completes once each is acknowledged."""
        return [await self._sender.send(topic, r.value, r.key, headers=r.headers, partition=0) for r in records]

    async def settle(self, database: str, known: Sequence[Family]) -> None:
        """Have the directory know families, and the gateway's database their accounts; waits for the gateway's roster."""
        documents = _documents(known)
        told = [_prepared(event, directory.SOURCE, key, n) for n, (key, event) in enumerate(documents, 1)]
        await self.send(directory.TOPIC, told)
        connection = await asyncpg.connect(database)
        secrets = [digest(family.token) for family in known]
        await connection.execute(_ACCOUNTS, [family.guardian for family in known], secrets, _TOKEN_SECONDS)
        async with asyncio.timeout(120):
            await until_known(database, len(told))
        await connection.execute("ANALYZE")
        await connection.close()

    async def beat(self) -> None:
        """Say for ever that the directory is alive."""
        while True:
            await self.send(directory.TOPIC, [_prepared(directory.Beat(), directory.SOURCE, BEAT_KEY, None)])
            await asyncio.sleep(_BEAT_SECONDS)


@asynccontextmanager
async def town(bootstrap: str) -> AsyncIterator[Town]:
    """A town whose directory is heard of."""
    sender = producer(bootstrap)
    await sender.start()
    found = Town(sender)
    beats = asyncio.create_task(found.beat())
    yield found
    beats.cancel()
    await sender.stop()
