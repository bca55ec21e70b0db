"""`preau doctor`: what is wrong with this machine, this home or its data, and what to do about it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import resource
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.running_home import NotUp, RunningHome
from infra.local.control import ask
from infra.local.given import EMBEDDED, left_alone, remembered
from infra.local.home import Home, default_cache, read_state
from infra.local.jars import locked_jars
from infra.local.ports import LOOPBACK, free_port, is_free
from infra.local.system import DEFAULT_PORT, WITH_DATABASE, WITH_OUTBOX
from roster.freshness import SILENCE_SECONDS

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_GB = 1024**3
_PYTHON = 0x030B0000
_FILES = 4096
_TAIL = 500
"""Records at the end of a partition among which its greatest sequence is looked for: replayed ones may come last."""
_STALE_SECONDS = 60
_PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it isn't well."""

    name: str
    state: str
    found: str
    todo: str = ""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Check this machine, this home and its data; exit with 1 when something is wrong."""
    checks = examine(Home.default(), default_cache())
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        for check in checks:
            todo = f" → {check.todo}" if check.todo else ""
            typer.echo(f"{check.state:<8} {check.name}: {check.found}{todo}")
    if any(check.state == PROBLEM for check in checks):
        raise typer.Exit(1)


def examine(home: Home, cache: Path) -> list[Check]:
    """Every check that can be made; those of the data only while Préau is up."""
    machine: tuple[Callable[[], Check], ...] = (_python, _machine, _files, _ports)
    checks = [check() for check in machine]
    checks += [_disk("disk of the home", home.root), _disk("disk of the cache", cache)]
    checks += [jars(cache)] if remembered(home).get("kafka", EMBEDDED) == EMBEDDED else []
    checks += [permissions(home), servers(home), leftovers(home)]
    answer = ask(home, "status") if home.taken() else None
    if answer is None:
        return [*checks, Check("parts", WARNING, "Préau isn't up: data not examined", "`preau up --detach`")]
    checks += parts(answer)
    try:
        running = RunningHome.of(home)
    except NotUp as error:
        return [*checks, Check("data", PROBLEM, str(error))]
    return [*checks, *asyncio.run(data(running))]


# The machine


def _python() -> Check:
    version = platform.python_version()
    if sys.hexversion < _PYTHON:
        return Check("Python", PROBLEM, version, "install Python 3.11 or newer")
    return Check("Python", OK, version)


def _machine() -> Check:
    kind = (platform.system(), platform.machine())
    library = " ".join(platform.libc_ver()).strip()
    found = " ".join(filter(None, (*kind, library)))
    if kind not in _PLATFORMS or (kind[0] == "Linux" and not library.startswith("glibc")):
        todo = "the bundled PostgreSQL and Java need Linux with glibc (x86-64, arm64) or macOS (arm64)"
        return Check("machine", PROBLEM, found, todo)
    return Check("machine", OK, found)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        return Check("open files", WARNING, f"at most {soft}", f"`ulimit -n {_FILES}` before `preau up` (hard: {hard})")
    return Check("open files", OK, f"at most {soft}")


def _ports() -> Check:
    try:
        free_port()
    except OSError:
        return Check("ports", PROBLEM, "none is free from 20000 to 32000", "end what listens there")
    if is_free(DEFAULT_PORT):
        return Check("ports", OK, f"{DEFAULT_PORT} and ports for the parts are free")
    if _own_port() == DEFAULT_PORT:
        return Check("ports", OK, f"{DEFAULT_PORT} is Préau's")
    return Check("ports", WARNING, f"{DEFAULT_PORT} on {LOOPBACK} is in use", "start with `preau up --port 0`")


def _own_port() -> int:
    url = str(read_state(Home.default().run / "supervisor.json").get("url", ""))
    port = url.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0


def _disk(name: str, folder: Path) -> Check:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / _GB
    found = f"{free:.1f} GB free at {there}"
    if free < 1:
        return Check(name, PROBLEM, found, "make room: PostgreSQL and Kafka stop when the disk is full")
    return Check(name, WARNING, found, "make room soon") if free < 3 else Check(name, OK, found)


def jars(cache: Path) -> Check:
    """Whether Kafka's jars are there, byte for byte those that are pinned."""
    missing, wrong = [], []
    for jar in locked_jars():
        path = cache / "jars" / jar.filename
        if not path.exists():
            missing.append(jar.artifact)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
            wrong.append(str(path))
    if wrong:
        return Check(
            "Kafka's jars", PROBLEM, f"not as pinned: {', '.join(wrong)}", "delete these files, then `preau up`"
        )
    if missing:
        return Check("Kafka's jars", WARNING, f"{len(missing)} not fetched yet", "`preau up` with a network")
    return Check("Kafka's jars", OK, "all there, as pinned")


# The home


def permissions(home: Home) -> Check:
    """Whether the home is this user's, and its secrets nobody else's."""
    name = "home"
    if not home.root.exists():
        return Check(name, OK, f"{home.root} is made by the first `preau up`")
    if home.root.stat().st_uid != os.geteuid():
        return Check(name, PROBLEM, f"{home.root} belongs to another user", "set PREAU_HOME to a folder of your own")
    if not os.access(home.root, os.W_OK | os.X_OK):
        return Check(name, PROBLEM, f"{home.root} can't be written to", f"chmod u+rwx {home.root}")
    loose = [path for path in _secret(home) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if loose:
        todo = f"chmod -R go= {home.keys} {home.run}; who else has an account here may have read them"
        return Check(name, PROBLEM, f"others may read {', '.join(map(str, loose))}", todo)
    return Check(name, OK, f"{home.root}, secrets readable by their owner alone")


def _secret(home: Home) -> Iterator[Path]:
    for folder in (home.keys, home.run):
        if folder.exists():
            yield folder
    if home.keys.exists():
        yield from home.keys.iterdir()


def servers(home: Home) -> Check:
    """Where the data are."""
    others = left_alone(home)
    return Check("servers", OK, f"{others}, which Préau doesn't run" if others else "embedded, in the home")


def leftovers(home: Home) -> Check:
    """Whether an earlier run left processes or its state behind."""
    from infra.local.processes import marked, working_in

    if home.taken():
        if ask(home, "status") is None:
            return Check("earlier runs", PROBLEM, "a process holds the home but doesn't answer", "`preau down`")
        return Check("earlier runs", OK, "nothing left behind")
    left = [*marked(home.root), *working_in(home.root / "postgres" / "data", "postgres")]
    if left:
        return Check("earlier runs", PROBLEM, f"{len(left)} processes still run without a supervisor", "`preau down`")
    if (home.run / "supervisor.json").exists():
        return Check("earlier runs", WARNING, "the last run was killed", "nothing: `preau up` cleans up")
    return Check("earlier runs", OK, "nothing left behind")


# The parts


def parts(answer: dict[str, Any]) -> list[Check]:
    """The state of each part and how far it is behind."""
    return [_part(part) for part in answer["parts"]]


def _part(part: dict[str, Any]) -> Check:
    name, lag = f"part {part['part']}", part["lag"]
    error = f" ({part['last_error']})" if part["last_error"] else ""
    if part["state"] != "ready":
        state = WARNING if part["state"] == "starting" else PROBLEM
        todo = f"see logs/{part['part']}.log in the home"
        if part["where"]:
            todo = f"see to the server at {part['where']}: Préau doesn't run it"
        return Check(name, state, f"{part['state']}{error}", todo)
    if lag.get("preau_roster_age_seconds", 0) > SILENCE_SECONDS:
        age = lag["preau_roster_age_seconds"]
        return Check(name, PROBLEM, f"the directory was last heard of {age:.0f} s ago", "`preau restart directory`")
    if lag.get("preau_consumer_lag", 0) > 1000:
        behind = lag["preau_consumer_lag"]
        return Check(name, WARNING, f"{behind:.0f} events behind", "look again: it should shrink; else see its log")
    restarts = part["restarts"]
    if restarts:
        return Check(name, WARNING, f"ready, restarted {restarts} times{error}", f"see logs/{part['part']}.log")
    return Check(name, OK, "ready")


# The data


async def data(running: RunningHome) -> list[Check]:
    """Checks of databases and topics; a server that can't be asked is a finding, not an end."""
    import asyncpg
    from aiokafka.errors import KafkaError

    checks: list[Check] = []
    for service in WITH_DATABASE:
        try:
            checks += [check async for check in _database(running, service)]
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            found = f"not examined ({type(error).__name__})"
            checks.append(Check(f"database of {service}", PROBLEM, found, "see the part postgres"))
    if not running.kafka:
        return [*checks, Check("topics", WARNING, "the Préau that runs is older than this command", "restart it")]
    try:
        checks += await _topics(running.kafka)
        checks.append(await _rebuild(running))
        checks += await _sequences(running)
    except (OSError, KafkaError, asyncpg.PostgresError) as error:
        checks.append(Check("topics", PROBLEM, f"not examined ({type(error).__name__})", "see the part kafka"))
    return checks


async def _database(running: RunningHome, service: str) -> AsyncIterator[Check]:
    import asyncpg

    from chassis import dead_letters

    connection = await asyncpg.connect(running.database_url(service), timeout=10, command_timeout=10)
    try:
        parked = await dead_letters.parked(connection)
        age = await connection.fetchval(
            "SELECT coalesce(extract(epoch FROM now() - (SELECT created_at FROM outbox ORDER BY id LIMIT 1)), 0)::float8"
        )
    finally:
        await connection.close()
    if parked:
        names = ", ".join(f"{key.key} ({key.reason})" for key in parked[:3]) + ("…" if len(parked) > 3 else "")
        yield Check(f"parked keys of {service}", PROBLEM, f"{len(parked)}: {names}", "`preau dlq list`")
    else:
        yield Check(f"parked keys of {service}", OK, "none")
    if service in WITH_OUTBOX:
        state = OK if age < 5 else WARNING if age < _STALE_SECONDS else PROBLEM
        todo = "" if state == OK else "see whether relay and kafka are ready, and logs/relay.log"
        yield Check(f"outbox of {service}", state, f"{age:.0f} s behind", todo)


async def _topics(bootstrap: str) -> list[Check]:
    from cli.topics import standing
    from infra.topics import TOPICS, as_they_stand

    found_there = await standing(bootstrap)
    names = [one.topic for one in found_there]
    declared = {topic.name: topic.partitions for topic in as_they_stand(TOPICS, names)}
    checks = []
    for one in found_there:
        if not one.partitions:
            checks.append(Check(f"topic {one.topic}", PROBLEM, "missing", "`preau down`, then `preau up` makes it"))
        elif one.partitions != declared[one.topic]:
            found = f"{one.partitions} partitions, not {declared[one.topic]}"
            todo = "keys have moved: order across the change is lost; start afresh or go back to a backup"
            checks.append(Check(f"topic {one.topic}", PROBLEM, found, todo))
    return checks or [Check("topics", OK, "as declared")]


async def _rebuild(running: RunningHome) -> Check:
    import asyncpg

    connection = await asyncpg.connect(running.database_url("feed"), timeout=10, command_timeout=10)
    try:
        building = await connection.fetchval("SELECT generation FROM generations WHERE state = 'building'")
    finally:
        await connection.close()
    if building is None:
        return Check("feed's history", OK, "no rebuild is unfinished")
    return Check("feed's history", WARNING, f"generation {building} is building", "`preau rebuild feed` completes it")


async def _sequences(running: RunningHome) -> list[Check]:
    import asyncpg

    from contracts import directory, grades

    checks = []
    # The feed's events carry the sequences of their causes, and dead letters those they came with.
    for service, contract in (("directory", directory), ("grades", grades)):
        connection = await asyncpg.connect(running.database_url(service), timeout=10, command_timeout=10)
        try:
            checks.append(await sequence(connection, running.kafka, service, contract.TOPIC, contract.SOURCE))
        finally:
            await connection.close()
    return checks


async def sequence(connection: Any, bootstrap: str, service: str, topic: str, source: str) -> Check:
    """Whether a database's outbox is past all that its topic holds: one restored from a backup would not be."""
    # The topic first: what is written meanwhile can then only put the database ahead.
    greatest = await greatest_sequence(bootstrap, topic, source)
    drawn = await connection.fetchval("SELECT last_value FROM pg_sequences WHERE sequencename = 'outbox_id_seq'") or 0
    name = f"sequence of {service}"
    if drawn >= greatest:
        return Check(name, OK, f"{drawn}, the topic {topic} holds up to {greatest}")
    return Check(
        name,
        PROBLEM,
        f"the database is at {drawn}, the topic {topic} already at {greatest}: it was restored from an older backup, "
        "and consumers drop what it sends now as repeats",
        f"stop writing; in its database: SELECT setval('outbox_id_seq', {greatest + 1_000_000}); then enter again what "
        "the backup lacks",
    )


async def greatest_sequence(bootstrap: str, topic: str, source: str) -> int:
    """The greatest sequence of a source among the last records of each partition of a topic."""
    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    from cli.topics import partitions

    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    greatest = 0
    try:
        await asyncio.gather(reader.start(), admin.start())
        places = (await partitions(admin, [topic])).get(topic)
        if not places:
            return 0
        reader.assign(places)
        begins, ends = await asyncio.gather(reader.beginning_offsets(places), reader.end_offsets(places))
        for place in places:
            reader.seek(place, max(begins[place], ends[place] - _TAIL))
        async with asyncio.timeout(30):
            for place in places:
                while await reader.position(place) < ends[place]:
                    for records in (await reader.getmany(timeout_ms=200)).values():
                        greatest = max([greatest, *(_sequence_of(record, source) for record in records)])
    finally:
        await reader.stop()
        await admin.close()
    return greatest


def _sequence_of(record: Any, source: str) -> int:
    headers = dict(record.headers)
    value: bytes = headers.get("ce_sequence", b"")
    return int(value) if headers.get("ce_source") == source.encode() and value.isdigit() else 0
