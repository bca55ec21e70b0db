"""Holding a set's statements against the directory and writing what differs, in batches of one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from uuid import UUID

from chassis.database import Connection
from chassis.outbox import dump
from contracts.directory import PersonChanged, school_key
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


class Applying:
    """One import's writing: `run` once, in a transaction whose connection is the only writer."""

    def __init__(self, connection: Connection, setting: Setting, report: Report, progress: Progress | None) -> None:
        self._connection = connection
        self._setting = setting
        self._report = report
        self._progress = progress
        self._seen: set[str] = set()
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
            for batch in _batches(statements):
                await self._batch(self._report.counts[kind], batch)
                done += len(batch)
                if self._progress:
                    self._progress(kind, done, totals[kind])
        self._seen.update(f"{kind}/{id}" for id in mapper.untouched() for kind in ("people", "groups"))
        await self._check_leavers()
        async for leavers in self._leavers():
            await self._write([change for change in map(self._detach, leavers) if change is not None])

    async def _batch(self, counts: Counts, statements: list[Statement]) -> None:
        texts = {key_of(s.document): dump(s.document).decode() for s in statements}
        self._seen.update(texts)
        keys = list(texts)
        same = await store.unchanged(self._connection, self._setting.source, keys, list(texts.values()))
        known = await store.load(self._connection, texts.keys() - same)
        counts.unchanged += len(same)
        written: list[Entity] = []
        restated: list[Entity] = []
        for statement, key in zip(statements, keys, strict=True):
            if key in same:
                self._stop.stays((statement.document,))
                continue
            before = known.get(key)
            after = self._new(statement, texts[key]) if before is None else self._merged(statement, before)
            if before is None:
                counts.created += 1
                self._report.change("created", key)
            elif after.document == before.document:
                counts.unchanged += 1
                restated.append(after)
                continue
            else:
                counts.changed += 1
                self._report.change("changed", key)
            written.append(after)
        await self._write(written)
        if restated and not self._setting.dry_run:
            await store.restate(self._connection, restated)

    async def _write(self, entities: list[Entity]) -> None:
        if entities and not self._setting.dry_run:
            await store.save(self._connection, entities)

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

    async def _check_leavers(self) -> None:
        """Count those the set no longer names, then let the safety stop judge."""
        async for batch in self._leavers():
            for entity in batch:
                self._stop.moves(entity.document, self._without(entity)[1])
        self._stop.judge(self._report)
        if self._report.refused:
            raise Refused

    async def _leavers(self) -> AsyncIterator[list[Entity]]:
        """What this source brought to these schools and the set no longer names, by batches."""
        schools = [school_key(uai) for uai in sorted(self._setting.uais)]
        after = ""
        while keys := await store.keys_of_source(self._connection, self._setting.source, schools, after, BATCH):
            after = keys[-1]
            gone = [key for key in keys if key not in self._seen]
            if gone:
                found = await store.load(self._connection, gone)
                yield [found[key] for key in gone]


def _batches(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    remaining = iter(statements)
    while batch := list(islice(remaining, BATCH)):
        yield batch
