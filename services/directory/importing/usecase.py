"""The import as one intention: read, check, compare, and write all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from chassis import audit
from chassis.audit import Entry
from chassis.database import Connection, Database
from contracts.directory import school_key
from services.directory import store
from services.directory.importing import memory
from services.directory.importing.applying import Applying, Setting
from services.directory.importing.columns import MANIFEST
from services.directory.importing.families import KIN
from services.directory.importing.manifest import read_manifest
from services.directory.importing.mapping import Mapper
from services.directory.importing.package import Limits, Package, Refused, open_package
from services.directory.importing.past import Past
from services.directory.importing.reading import Progress, Reading, read_set
from services.directory.importing.report import Report
from services.directory.importing.safety import FEW, SHARE


@dataclass(frozen=True, slots=True)
class Options:
    """What the importing school decides.

    `authority` lists the family roles (parent, guardian, relative) that carry parental authority; none does by
    default. `source` names the system when the manifest does not. `zone` is the schools' time zone. A set that would
    take a role, their only class or their only guardian from more than `detach_share` (0 to 1) of those who have one at a
    school, and from more than `detach_few` of them, is refused. `limits` bound the package. The very package that was applied
    last is not compared again, unless `in_full` asks for it.
    """

    authority: tuple[str, ...] = ()
    source: str = ""
    dry_run: bool = False
    zone: str = "Europe/Paris"
    detach_share: float = SHARE
    detach_few: int = FEW
    limits: Limits = field(default_factory=Limits)
    in_full: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.authority) - set(KIN))
        if unknown:
            raise ValueError(f"not a family role: {', '.join(unknown)} (one of {', '.join(KIN)})")
        ZoneInfo(self.zone)


async def import_oneroster(
    database: Database, path: Path, options: Options, progress: Progress | None = None
) -> Report:
    """Import a OneRoster 1.2 package, bulk or delta; the report tells all, also why a set was refused.

    All or nothing, in one transaction; a dry run compares and writes nothing. What the database raises comes through,
    and then nothing was written either.
    """
    report = Report(dry_run=options.dry_run)
    try:
        source = await asyncio.to_thread(_source, path, options)
        digest = await asyncio.to_thread(_digest, path, options)
        known = None if options.in_full else await memory.again(database, source, digest, authority_of(options))
        if known is not None:
            return replace(known, dry_run=options.dry_run, position=None if options.dry_run else known.position)
        past = await memory.recall(database, source)
        reading = await asyncio.to_thread(_read, path, options, report, past, digest, progress)
        async with _writing(database, options.dry_run) as connection:
            if reading is not None:
                await memory.check(connection, source, past, report)
                await _apply(connection, reading, options, report, progress)
                if not options.dry_run:
                    await memory.remember(connection, source, digest, authority_of(options), past, reading, report)
            report.position = None if options.dry_run else await store.position(connection)
    except Refused:
        report.refused = True
    return report


def authority_of(options: Options) -> str:
    """The family roles that carry authority, as remembered of a source."""
    return ",".join(sorted(set(options.authority)))


def _source(path: Path, options: Options) -> str:
    """The system the package comes from; empty when nothing says so. What is wrong is reported by the reading."""
    with suppress(Refused), open_package(path, Report(), options.limits) as package:
        return options.source or read_manifest(package, Report()).source
    return ""


def _digest(path: Path, options: Options) -> str:
    """Of the package, of the importer that reads it and of the zone it is read for; empty where it can't be read."""
    try:
        with path.open("rb") as package:
            digest = hashlib.file_digest(package, "sha256")
    except OSError:
        return ""
    for part in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(part.read_bytes())
    digest.update(options.zone.encode())
    return digest.hexdigest()


def _read(
    path: Path, options: Options, report: Report, past: Past, digest: str, progress: Progress | None
) -> Reading | None:
    with open_package(path, report, options.limits) as package:
        if _brings_delta(package):
            _check_authority(past, options, report)
            known = False
        else:
            # The very package that was applied last: its rows are remembered already.
            known = digest == past.digest and authority_of(options) == past.authority
        reading = read_set(package, report, None if known else past, options.source, progress)
    if report.refused:
        raise Refused
    return reading


def _brings_delta(package: Package) -> bool:
    with suppress(Refused):
        return bool(read_manifest(package, Report()).delta)
    return False


def _check_authority(past: Past, options: Options, report: Report) -> None:
    """A few changes must not move the rights of all: only a bulk set may change which roles carry authority."""
    if past.revision and past.authority != authority_of(options):
        report.refuse("authority-differs", MANIFEST, field=past.authority or "none")
        raise Refused


async def _apply(
    connection: Connection, reading: Reading, options: Options, report: Report, progress: Progress | None
) -> None:
    found = reading.found
    today = (await store.now(connection)).astimezone(ZoneInfo(options.zone)).date()
    setting = Setting(
        found.source, found.uais, today, options.dry_run, options.detach_share, options.detach_few
    )  # fmt: skip
    totals = {"schools": len(found.schools), "groups": len(found.classes), "people": len(found.users)}
    mapper = Mapper(found, report, options.authority, options.zone)
    await Applying(connection, setting, report, progress).run(mapper, totals)
    moved = any(c.created or c.changed or c.detached for c in report.counts.values())
    if moved and not options.dry_run:
        for uai in sorted(found.uais):
            await audit.record(connection, Entry(f"imports/{found.source}", "import", school_key(uai), uai))


@asynccontextmanager
async def _writing(database: Database, dry_run: bool) -> AsyncIterator[Connection]:
    if dry_run:
        # One snapshot for all that is compared, and no lock: nobody waits for a dry run.
        async with (
            database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection
    else:
        async with database.transaction() as connection:
            await store.lock_writers(connection)
            yield connection
