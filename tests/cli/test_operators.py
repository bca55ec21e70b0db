"""What operators look at: topics, parked keys, and what is wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from chassis.database import Database
from chassis.sending import producer
from cli import dlq, doctor
from cli.main import build
from cli.running_home import RunningHome
from cli.topics import standing
from infra.local.home import Home
from infra.local.jars import locked_jars
from infra.local.kafka import Kafka
from infra.local.system import WITH_DATABASE
from infra.topics import COMPACTION, Topic


def headers(sequence: int) -> list[tuple[str, bytes]]:
    return [("ce_source", b"/me"), ("ce_sequence", b"%d" % sequence)]


async def make(kafka: Kafka, topic: Topic, sequences: range) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=dict(topic.config))])
    await admin.close()
    sender = producer(kafka.bootstrap)
    await sender.start()
    for sequence in sequences:
        await sender.send_and_wait(topic.name, b"{}", b"%d" % sequence, headers=headers(sequence))
    await sender.stop()


async def test_topics_tell_records_and_retention(kafka: Kafka, topic: str) -> None:
    declared = (Topic(topic, "me", partitions=3), Topic(f"{topic}-c", "me", config=COMPACTION), Topic("absent", "me"))
    await make(kafka, declared[0], range(1, 8))
    await make(kafka, declared[1], range(0))
    found = await standing(kafka.bootstrap, declared)
    assert [(one.partitions, one.records, one.retention) for one in found] == [
        (3, 7, "30 days"),
        (1, 0, "the latest of each key"),
        (0, 0, ""),
    ]


async def test_a_database_behind_its_topic_is_a_problem(kafka: Kafka, database: Database, topic: str) -> None:
    await make(kafka, Topic(topic, "me", partitions=2), range(1, 30))
    async with database.connection() as connection:
        behind = await doctor.sequence(connection, kafka.bootstrap, "me", topic, "/me")
        assert (behind.state, "restored from an older backup" in behind.found) == (doctor.PROBLEM, True)
        await connection.execute("SELECT setval('outbox_id_seq', 29)")
        assert (await doctor.sequence(connection, kafka.bootstrap, "me", topic, "/me")).state == doctor.OK
    assert await doctor.greatest_sequence(kafka.bootstrap, topic, "/stranger") == 0
    assert await doctor.greatest_sequence(kafka.bootstrap, "no-such-topic", "/me") == 0


def test_the_doctor_sees_what_is_wrong_with_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert doctor.permissions(home).state == doctor.OK
    home.create()
    assert doctor.permissions(home).state == doctor.OK
    assert doctor.leftovers(home).state == doctor.OK
    home.private_key.chmod(0o644)
    assert doctor.permissions(home).state == doctor.PROBLEM
    (home.run / "supervisor.json").write_text('{"control": 1, "secret": ""}')
    assert doctor.leftovers(home).state == doctor.WARNING


def test_jars_are_checked_byte_for_byte(tmp_path: Path) -> None:
    assert doctor.jars(tmp_path).state == doctor.WARNING
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / locked_jars()[0].filename).write_bytes(b"other")
    assert doctor.jars(tmp_path).state == doctor.PROBLEM


def test_the_doctor_answers_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREAU_HOME", str(tmp_path / "home"))
    answer = CliRunner().invoke(build("doctor"), ["doctor", "--json"])
    checks = json.loads(answer.stdout)
    assert {"name", "state", "found", "todo"} == set(checks[0])
    assert answer.exit_code == int(any(check["state"] == doctor.PROBLEM for check in checks))
    assert checks[-1]["found"].startswith("Préau isn't up")


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ({}, doctor.OK),
        ({"state": "backing off"}, doctor.PROBLEM),
        ({"state": "starting"}, doctor.WARNING),
        ({"lag": {"preau_roster_age_seconds": 300}}, doctor.PROBLEM),
        ({"lag": {"preau_consumer_lag": 5000}}, doctor.WARNING),
        ({"restarts": 2}, doctor.WARNING),
        ({"where": "db.example:5432"}, doctor.OK),
        ({"where": "db.example:5432", "state": "unready"}, doctor.PROBLEM),
    ],
)
def test_a_part_is_judged(part: dict[str, object], state: str) -> None:
    well = {"part": "feed", "state": "ready", "lag": {}, "last_error": "", "restarts": 0, "where": ""}
    assert doctor.parts({"parts": [well | part]})[0].state == state


@pytest.mark.parametrize(
    "command",
    [["topics"], ["dlq", "list"], ["dlq", "show", "k"], ["audit", "--school", "0921234S", "--since", "2027-01-31"]],
)
def test_without_a_running_system_the_operator_is_told(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREAU_HOME", str(tmp_path / "home"))
    answer = CliRunner().invoke(build(command[0]), command)
    assert answer.exit_code == 3
    assert "preau up" in answer.stderr


@pytest.mark.parametrize(
    "option",
    ["--school=0921234", "--service=portal", "--person=me", "--since=yesterday", "--outcome=refuse", "--limit=0"],
)
def test_a_question_that_makes_no_sense_names_its_option(option: str) -> None:
    school = [] if option.startswith("--school") else ["--school=0921234S"]
    answer = CliRunner().invoke(build("audit"), ["audit", *school, option])
    assert answer.exit_code == 2
    assert option.partition("=")[0] in answer.stderr


def test_a_parked_key_is_listed_shown_and_discarded(
    kafka: Kafka, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.settings.url()
    monkeypatch.setattr(RunningHome, "database_url", lambda *_: url)
    monkeypatch.setattr(dlq, "WITH_DATABASE", WITH_DATABASE[:1])
    monkeypatch.setattr(dlq, "running_with_kafka", lambda: RunningHome(Home(Path()), "", "", kafka.bootstrap))
    service = WITH_DATABASE[0]

    async def prepare() -> None:
        await make(kafka, Topic(f"dlq.{service}", service), range(0))
        connection = await asyncpg.connect(url)
        await connection.execute("INSERT INTO parked_keys VALUES ('c', '/s', 'k', 'ValueError')")
        await connection.close()

    asyncio.run(prepare())
    ask = CliRunner().invoke
    assert json.loads(ask(dlq.app, ["list", "--json"]).stdout)[0]["reason"] == "ValueError"
    assert "1 events" in ask(dlq.app, ["show", "k"]).stdout
    refused = ask(dlq.app, ["replay", service, "c", "/s", "k", "--yes"])
    assert (refused.exit_code, "0 of its 1" in refused.stderr) == (1, True)
    assert ask(dlq.app, ["discard", service, "c", "/s", "k"], input="n\n").exit_code == 1
    assert ask(dlq.app, ["discard", service, "c", "/s", "k"], input="y\n").exit_code == 0
    assert ask(dlq.app, ["list"]).stdout == "No key is parked.\n"
    assert ask(dlq.app, ["discard", service, "c", "/s", "k", "--yes"]).exit_code == 1
