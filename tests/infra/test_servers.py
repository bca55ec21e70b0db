"""The embedded servers: what they promise, and how they come back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import asyncpg
import psutil
import pytest

from infra.local.backends import running_kafka, running_postgres
from infra.local.home import Home
from infra.local.jars import JarsUnavailable, ensure_jars, locked_jars
from infra.local.kafka import Kafka
from infra.local.postgres import Postgres
from infra.topics import PRODUCTION, TOPICS, Topic, TopicsFailed, ensure_topics
from tests.conftest import value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collège du préau"


def test_postgres_is_durable_and_keeps_data_between_runs(path: Path) -> None:
    with running_postgres(path) as postgres:
        url = postgres.create_database("preau_one")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert asyncio.run(value(url, f"SHOW {setting}")) == "on"
        asyncio.run(value(url, "CREATE TABLE kept AS SELECT 42 AS answer"))
    with running_postgres(path) as postgres:
        url = postgres.create_database("preau_one")
        assert asyncio.run(value(url, "SELECT answer FROM kept")) == 42


def test_a_role_enters_its_own_database_alone(path: Path) -> None:
    with running_postgres(path) as postgres:
        own = postgres.create_database("preau_one")
        postgres.create_database("preau_two")
        assert asyncio.run(value(own, "SELECT current_user::text")) == "preau_one"
        for other in ("preau_two", "postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                asyncio.run(value(postgres.url("preau_one", other), "SELECT 1"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(value(own.replace("preau_one:", "preau_one:x"), "SELECT 1"))


def test_postgres_left_behind_by_a_killed_supervisor_is_ended(path: Path) -> None:
    orphan = Postgres(Home(path))
    orphan.start()
    assert orphan._process is not None
    pid = orphan._process.pid
    with running_postgres(path) as postgres:
        # The orphan was this process's child; elsewhere init reaps it.
        orphan._process.wait()
        assert not psutil.pid_exists(pid)
        assert asyncio.run(value(postgres.url(), "SELECT 1")) == 1


def test_postgres_recovers_from_a_kill(path: Path) -> None:
    killed = Postgres(Home(path))
    killed.start()
    url = killed.create_database("preau_one")
    asyncio.run(value(url, "CREATE TABLE kept AS SELECT 42 AS answer"))
    assert killed._process is not None
    killed._process.send_signal(signal.SIGKILL)
    killed._process.wait()
    with running_postgres(path) as postgres:
        assert asyncio.run(value(postgres.create_database("preau_one"), "SELECT answer FROM kept")) == 42


def test_an_interrupted_first_start_leaves_nothing_half_made(path: Path) -> None:
    home = Home(path)
    home.create()
    (home.root / "postgres" / "data.new").mkdir(parents=True)
    (home.root / "postgres" / "data.new" / "PG_VERSION").write_text("18")
    with running_postgres(path) as postgres:
        assert asyncio.run(value(postgres.url(), "SELECT 1")) == 1


def test_topics_stand_as_declared(path: Path) -> None:
    with running_kafka(path) as kafka:
        assert sorted(asyncio.run(ensure_topics(kafka.bootstrap))) == sorted(topic.name for topic in TOPICS)
        assert asyncio.run(ensure_topics(kafka.bootstrap)) == []
        with pytest.raises(TopicsFailed, match="has 12 partitions, not 3"):
            asyncio.run(ensure_topics(kafka.bootstrap, [Topic("grades", "grades", partitions=3)]))


def test_a_broker_that_was_killed_comes_back_with_its_topics(path: Path) -> None:
    killed = Kafka(Home(path))
    killed.start()
    asyncio.run(ensure_topics(killed.bootstrap))
    assert killed._process is not None
    killed._process.kill()
    killed._process.wait()
    with running_kafka(path) as kafka:
        assert kafka.port != killed.port
        assert asyncio.run(ensure_topics(kafka.bootstrap)) == []


@pytest.mark.parametrize("folder", ["data", "data.new"])
def test_half_formatted_storage_is_formatted_anew(path: Path, folder: str) -> None:
    home = Home(path)
    home.create()
    half = home.root / "kafka" / folder
    half.mkdir(parents=True)
    (half / "bootstrap.checkpoint").write_bytes(b"half")
    with running_kafka(path) as kafka:
        assert kafka.ready()
        assert (kafka.data / "meta.properties").exists()


def test_production_topics_survive_a_broker() -> None:
    assert PRODUCTION.in_sync == PRODUCTION.factor - 1 == 2


def test_a_jar_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impostor:
        def __init__(self, cache: Path) -> None:
            self.file = cache / "impostor.jar"
            self.file.write_bytes(b"not the broker")

        def project(self, *_: str) -> Impostor:
            return self

        at_version = artifact = project

        def resolve(self) -> Path:
            return self.file

    monkeypatch.setattr("infra.local.jars.context", Impostor)
    with pytest.raises(JarsUnavailable, match="checksum"):
        ensure_jars(tmp_path)
    assert list((tmp_path / "jars").glob("*.jar")) == []


def test_the_lock_names_one_version_of_each_jar_and_kafka_first() -> None:
    jars = locked_jars()
    assert jars[0].artifact == "kafka_2.13"
    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    kafka = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert kafka == {"4.3.1"}
