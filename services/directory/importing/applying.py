"""Holding a set's statements against the directory and writing what differs, in batches of one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from types import MappingProxyType
from uuid import UUID

from chassis.database import Connection
from chassis.outbox import dump
from contracts.directory import PersonChanged, SchoolChanged, school_key
from services.directory import store
from services.directory.documents import Document, key_of, parse
from services.directory.importing.mapping import Mapper, Statement
from services.directory.importing.merge import carry_over, detached, fill_gaps, keep_links, merge
from services.directory.importing.package import Refused
from services.directory.importing.reading import Progress
from services.directory.importing.report import Counts, Report, Severity
from services.directory.importing.safety import Stop
from services.directory.store import Entity

BATCH = 1000
"""Entities per statement."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a set is applied; `today` is the day on which what is withdrawn ends."""

    source: str
    uais: frozenset[str]
    today: date
    dry_run: bool
    detach_share: float
    detach_few: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Statements and, by key in the same order, their documents as JSON."""

    statements: list[Statement]
    bodies: dict[str, bytes]


class Applying:
    """One import's writing: `run` once, in a transaction whose connection is the only writer."""

    def __init__(self, connection: Connection, setting: Setting, report: Report, progress: Progress | None) -> None:
        self._connection = connection
        self._setting = setting
        self._report = report
        self._progress = progress
        self._seen: set[UUID | str] = set()
        self._writing: asyncio.Task[None] | None = None
        self._stop = Stop(setting.detach_share, setting.detach_few, setting.uais, setting.today)
        self._unread: set[UUID] = set()

    async def run(self, mapper: Mapper, totals: dict[str, int]) -> None:
        """Apply everything the set states, then detach what it no longer names; raises `Refused` by the safety stop."""
        self._unread = mapper.unread()
        for kind, statements in (
            ("schools", mapper.schools()),
            ("groups", mapper.groups()),
            ("people", mapper.people()),
        ):
            done = 0
            async for batch in self._batches(statements):
                await self._batch(self._report.counts[kind], batch)
                done += len(batch.statements)
                if self._progress:
                    self._progress(kind, done, totals[kind])
        self._seen.update(mapper.untouched())
        leavers = await self._check_leavers()
        for some in _parts(leavers):
            found = await store.load(self._connection, some)
            await self._write([change for key in some if (change := self._detach(found[key])) is not None])

    async def _batches(self, statements: Iterator[Statement]) -> AsyncIterator[Batch]:
        """The statements by batches; the next is made while the database takes the one before in."""
        while True:
            try:
                batch = await asyncio.to_thread(_batch_of, statements)
            finally:
                await self._written()
            if batch is None:
                return
            yield batch

    async def _written(self) -> None:
        """Wait for what is being written: a connection does one thing at a time."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _batch(self, counts: Counts, batch: Batch) -> None:
        self._seen.update(_identity(statement.document) for statement in batch.statements)
        texts = {key: body.decode() for key, body in batch.bodies.items()}
        keys = list(texts)
        same = await store.unchanged(self._connection, self._setting.source, keys, list(texts.values()))
        known = await store.load(self._connection, texts.keys() - same)
        counts.unchanged += len(same)
        written: list[Entity] = []
        new: dict[str, bytes] = {}
        restated: list[Entity] = []
        for statement, key in zip(batch.statements, keys, strict=True):
            if key in same:
                self._stop.stays((statement.document,))
                continue
            before = known.get(key)
            after = self._new(statement, texts[key]) if before is None else self._merged(statement, before)
            if before is None:
                counts.created += 1
                new[key] = batch.bodies[key]
                self._report.change("created", key)
            elif after.document == before.document:
                counts.unchanged += 1
                restated.append(after)
                continue
            else:
                counts.changed += 1
                self._report.change("changed", key)
            written.append(after)
        self._writing = asyncio.create_task(self._write(written, new, restated))

    async def _write(
        self,
        entities: list[Entity],
        bodies: Mapping[str, bytes] = MappingProxyType({}),
        restated: Sequence[Entity] = (),
    ) -> None:
        if self._setting.dry_run:
            return
        if entities:
            await store.save(self._connection, entities, bodies)
        if restated:
            await store.restate(self._connection, restated)

    def _new(self, statement: Statement, text: str) -> Entity:
        return Entity(statement.document, source=self._setting.source, stated=text)

    def _merged(self, statement: Statement, entity: Entity) -> Entity:
        own = entity.source == self._setting.source
        base = parse(entity.key, entity.stated) if own and entity.stated else None
        theirs: Document = statement.document
        if isinstance(base, PersonChanged) and isinstance(theirs, PersonChanged):
            theirs = keep_links(base, carry_over(base, theirs, self._setting.uais), self._unread)
        if base is not None and statement.partial:
            theirs = fill_gaps(base, theirs)
        merged, kept = merge(base, entity.document, theirs, self._setting.today)
        self._stop.moves(entity.document, merged)
        for field in kept:
            self._report.add(Severity.WARNING, "kept-by-hand", "", id=entity.key, field=field)
        if entity.source is not None and not own:
            return replace(entity, document=merged)
        return replace(entity, document=merged, source=self._setting.source, stated=dump(theirs).decode())

    def _detach(self, entity: Entity) -> Entity | None:
        """The entity with what the set no longer says of it ended; None when that was so before."""
        theirs, merged = self._without(entity)
        if merged == entity.document:
            return None
        self._report.counts[entity.key.partition("/")[0]].detached += 1
        self._report.change("detached", entity.key)
        return replace(entity, document=merged, stated=dump(theirs).decode())

    def _without(self, entity: Entity) -> tuple[Document, Document]:
        """What the source states of an entity it no longer names, and the document that results."""
        assert entity.stated is not None
        base = parse(entity.key, entity.stated)
        theirs = detached(base, self._setting.uais)
        return theirs, merge(base, entity.document, theirs, self._setting.today)[0]

    async def _check_leavers(self) -> list[str]:
        """Count those the set no longer names, then let the safety stop judge; returns their keys."""
        gone = await self._leavers()
        for some in _parts(gone):
            for entity in (await store.load(self._connection, some)).values():
                self._stop.moves(entity.document, self._without(entity)[1])
        self._stop.judge(self._report)
        if self._report.refused:
            raise Refused
        return gone

    async def _leavers(self) -> list[str]:
        """Keys of what this source brought to these schools and the set no longer names."""
        schools = [school_key(uai) for uai in sorted(self._setting.uais)]
        brought = store.keys_of_source(self._connection, self._setting.source, schools)
        return [key async for key in brought if _identity_in(key) not in self._seen]


def _batch_of(statements: Iterator[Statement]) -> Batch | None:
    found = list(islice(statements, BATCH))
    return Batch(found, {key_of(one.document): dump(one.document) for one in found}) if found else None


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def _identity(document: Document) -> UUID | str:
    """What tells an entity from all others, at less memory than its key."""
    return document.uai if isinstance(document, SchoolChanged) else document.id


def _identity_in(key: str) -> UUID | str:
    kind, _, id = key.partition("/")
    return id if kind == "schools" else UUID(id)
