"""Migrations: applied once, by one process at a time, and never changed afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from chassis.migrations import ChangedMigration, migrate


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


async def test_each_file_is_applied_once_by_however_many(database_url: str, tmp_path: Path) -> None:
    write(tmp_path, "0001_table.sql", "CREATE TABLE things (id int);")
    write(tmp_path, "0002_row.sql", "INSERT INTO things VALUES (1);")
    counts = await asyncio.gather(*(migrate(database_url, [("test", tmp_path)]) for _ in range(4)))
    assert sorted(counts) == [0, 0, 0, 2]


async def test_a_failing_file_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    write(tmp_path, "0001_table.sql", "CREATE TABLE things (id int); SELECT nonsense;")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await migrate(database_url, [("test", tmp_path)])
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('things')") is None
    await connection.close()


async def test_a_changed_file_is_refused(database_url: str, tmp_path: Path) -> None:
    path = write(tmp_path, "0001_table.sql", "CREATE TABLE things (id int);")
    await migrate(database_url, [("test", tmp_path)])
    path.write_text("CREATE TABLE things (id bigint);", "utf-8")
    with pytest.raises(ChangedMigration, match="test 0001"):
        await migrate(database_url, [("test", tmp_path)])


async def test_a_file_with_another_name_is_refused(database_url: str, tmp_path: Path) -> None:
    write(tmp_path, "table.sql", "")
    with pytest.raises(ValueError, match=r"table\.sql"):
        await migrate(database_url, [("test", tmp_path)])
