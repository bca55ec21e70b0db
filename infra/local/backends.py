"""Real servers for tests and benchmarks, started and stopped with a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.home import Home
from infra.local.kafka import Kafka
from infra.local.postgres import Postgres


@contextmanager
def running_postgres(home: Path) -> Iterator[Postgres]:
    """A PostgreSQL over a home's data; `create_database(name)` makes a service's database and returns its URL."""
    server = Postgres(Home(home))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def running_kafka(home: Path) -> Iterator[Kafka]:
    """A Kafka over a home's storage; `bootstrap` is its address."""
    server = Kafka(Home(home))
    server.start()
    try:
        yield server
        # Later starts of any home take a third of the time.
        server.build_archive()
    finally:
        server.stop()
