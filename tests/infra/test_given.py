"""Servers given by URL: what is made on them, what is left alone, and what a home remembers of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from cli.testing import FAULTS_ALONE, TWO_AT_A_TIME, _arguments
from infra.local.databases import DatabaseFailed, address, place_of
from infra.local.given import BadServers, Given, create_databases, left_alone, remembered
from infra.local.home import Home
from infra.local.parts import Elsewhere
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from infra.local.system import System
from tests.conftest import value

URL = "postgresql://admin:s%40cret@db.example:5432/postgres?sslmode=require"
_numbers = itertools.count(1)


# Settings


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PREAU_POSTGRES_URL": "db.example:5432"}, "PREAU_POSTGRES_URL"),
        ({"PREAU_POSTGRES_URL": "postgresql://db.example/postgres"}, "PREAU_POSTGRES_URL"),
        ({"PREAU_POSTGRES_URL": "mysql://a:b@db.example/postgres"}, "PREAU_POSTGRES_URL"),
        ({"PREAU_POSTGRES_URL": "postgresql://a:b@db.example:port/postgres"}, "PREAU_POSTGRES_URL"),
        ({"PREAU_POSTGRES_DIRECT_URL": URL}, "PREAU_POSTGRES_DIRECT_URL"),
        ({"PREAU_KAFKA": "kafka.example"}, "PREAU_KAFKA"),
        ({"PREAU_KAFKA": "kafka.example:9092,"}, "PREAU_KAFKA"),
        ({"PREAU_DATABASE_PREFIX": "Préau"}, "PREAU_DATABASE_PREFIX"),
        ({"PREAU_DATABASE_PREFIX": 'x"; DROP'}, "PREAU_DATABASE_PREFIX"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_its_secret(settings: dict[str, str], named: str) -> None:
    with pytest.raises(BadServers, match=named) as refused:
        Given.of(settings)
    assert "s%40cret" not in str(refused.value)


def test_nothing_given_is_all_embedded() -> None:
    assert Given.of({}) == Given()
    assert Given().postgres_place == Given().pooled_place == ""


@for_any(st.text(min_size=1, max_size=40).filter(str.isprintable))
def test_an_address_has_the_place_of_the_given_one_and_its_own_entry(password: str) -> None:
    url = address(f"{URL}&user=other&password=other", "preau_grades", password, "preau_grades")
    assert place_of(url) == place_of(URL) == "postgresql://db.example:5432?sslmode=require"
    assert "s%40cret" not in url
    assert "other" not in place_of(url)


def test_services_go_through_the_pooler_and_the_relay_past_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    given = Given.of(
        {
            "PREAU_POSTGRES_URL": "postgresql://a:b@pooler.example:6432/postgres",
            "PREAU_POSTGRES_DIRECT_URL": "postgresql://a:b@db.example/postgres",
            "PREAU_KAFKA": "one.example:9092,two.example:9092",
            "PREAU_DATABASE_PREFIX": "essai_",
        }
    )
    parts = {part.name: part for part in System(home, free_port(), given=given).parts()}
    assert [name for name, part in parts.items() if isinstance(part, Elsewhere)] == ["postgres", "kafka"]
    told = {name: part.environment for name, part in parts.items() if not isinstance(part, Elsewhere)}
    assert "@pooler.example:6432/essai_grades" in told["grades"]["PREAU_DATABASE_URL"]
    assert "@db.example/essai_grades" in told["grades"]["PREAU_DATABASE_DIRECT_URL"]
    assert "pooler.example" not in told["relay"]["PREAU_RELAY_DATABASES"]
    assert {e["PREAU_KAFKA"] for e in told.values() if "PREAU_KAFKA" in e} == {"one.example:9092,two.example:9092"}
    assert not any("a:b@" in text for environment in told.values() for text in environment.values())


def test_no_service_is_told_the_administrators_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREAU_POSTGRES_URL", URL)
    home = Home(tmp_path / "home")
    home.create()
    for part in System(home, free_port(), given=Given.of()).parts():
        if not isinstance(part, Elsewhere):
            assert not any("s%40cret" in text for text in part.environment.values())


# What a home remembers


def test_a_home_stays_with_its_servers(tmp_path: Path) -> None:
    home, given = Home(tmp_path / "home"), Given.of({"PREAU_POSTGRES_URL": URL, "PREAU_KAFKA": "kafka.example:9092"})
    home.create()
    assert left_alone(home) == ""
    given.refuse_others(home)
    # A start that came to nothing binds it to nothing.
    assert left_alone(home) == ""
    given.remember(home)
    given.refuse_others(home)
    assert (
        left_alone(home) == "PostgreSQL at postgresql://db.example:5432?sslmode=require and Kafka at kafka.example:9092"
    )
    for other in (Given(), replace(given, kafka=""), replace(given, prefix="other_")):
        with pytest.raises(BadServers, match="PREAU_HOME"):
            other.refuse_others(home)
    assert "s%40cret" not in home.servers.read_text()
    home.wipe()
    assert remembered(home) == {}


def test_a_home_with_data_of_its_own_is_not_put_on_other_servers(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.root / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(BadServers, match="embedded"):
        Given.of({"PREAU_POSTGRES_URL": URL}).refuse_others(home)
    Given().refuse_others(home)


# On a real server


@pytest.fixture
def names(postgres: Postgres) -> Iterator[list[str]]:
    """Two names of databases and roles, dropped afterwards."""
    made = [f"given_{next(_numbers)}" for _ in range(2)]
    yield made
    for name in made:
        asyncio.run(value(postgres.url(), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        asyncio.run(value(postgres.url(), f'DROP ROLE IF EXISTS "{name}"'))


def urls(postgres: Postgres, names: list[str], password: str = "own") -> list[str]:
    return [address(postgres.place, name, password, name) for name in names]


@pytest.fixture
def administrator(postgres: Postgres) -> Iterator[str]:
    """The URL of one who may make roles and databases and nothing else, as managed servers have it."""
    asyncio.run(value(postgres.url(), "CREATE ROLE manager LOGIN CREATEDB CREATEROLE PASSWORD 'm'"))
    asyncio.run(value(postgres.url(), "GRANT CONNECT ON DATABASE postgres TO manager"))
    yield address(postgres.place, "manager", "m", "postgres")
    asyncio.run(value(postgres.url(), "DROP OWNED BY manager"))
    asyncio.run(value(postgres.url(), "DROP ROLE manager"))


def test_roles_and_databases_are_made_by_an_administrator_who_is_no_superuser(
    postgres: Postgres, administrator: str, names: list[str]
) -> None:
    wanted = urls(postgres, names)
    asyncio.run(create_databases(administrator, wanted))
    asyncio.run(value(wanted[0], "CREATE TABLE kept AS SELECT 42 AS answer"))
    # Again, as at each start: what is there stays.
    asyncio.run(create_databases(administrator, wanted))
    assert asyncio.run(value(wanted[0], "SELECT answer FROM kept")) == 42
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(value(address(postgres.place, names[0], "own", names[1]), "SELECT 1"))


def test_a_role_of_another_home_keeps_its_password(postgres: Postgres, names: list[str]) -> None:
    asyncio.run(create_databases(postgres.url(), urls(postgres, names)))
    with pytest.raises(DatabaseFailed, match=f"{names[0]}|{names[1]}") as refused:
        asyncio.run(create_databases(postgres.url(), urls(postgres, names, "another")))
    assert "another/" not in str(refused.value)
    assert asyncio.run(value(urls(postgres, names)[0], "SELECT 1")) == 1


# What the tests are told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], TWO_AT_A_TIME),
        (["--backends", "containers"], (*TWO_AT_A_TIME, "--backends", "containers")),
        (["--backends=urls"], (*TWO_AT_A_TIME, "--backends=urls")),
        (["--faults", "full"], FAULTS_ALONE),
        (["--faults", "full", "--backends", "containers"], (*FAULTS_ALONE, "--backends", "containers")),
        (["--backends", "urls", "tests/infra"], ("--backends", "urls", "tests/infra")),
        (["-x"], ("-x",)),
    ],
)
def test_all_tests_run_two_at_a_time_whatever_they_run_on(given: list[str], told: tuple[str, ...]) -> None:
    assert tuple(_arguments(given)) == told
