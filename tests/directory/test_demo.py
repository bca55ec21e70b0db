"""The demo school is imported as it is told to the reader."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from chassis.database import Database
from chassis.identity import Caller
from cli import demo_school as demo
from services.directory.usecases.me import me

TODAY = date(2026, 11, 23)


async def test_everybody_is_who_the_table_says(directory: Database, database_url: str, tmp_path: Path) -> None:
    report = await demo.import_school(database_url, TODAY)
    assert not report.codes
    async with directory.connection() as connection:
        seen = {who.login: await me(connection, Caller(person=who.id)) for who in demo.PEOPLE}
    names = {login: found.person and found.person.given_name for login, found in seen.items()}
    assert names == {who.login: who.given_name for who in demo.PEOPLE}
    children = {login: [c.person.given_name for c in found.children] for login, found in seen.items()}
    assert children["parent"] == ["Noé", "Léa"]
    assert children["parent-separe"] == ["Léa"]
    assert not children["contact"]
    assert not children["en-charge"]
    one, two = tmp_path / "1.zip", tmp_path / "2.zip"
    demo.write_package(one, 2027)
    demo.write_package(two, 2027)
    assert one.read_bytes() == two.read_bytes()
    again = await demo.import_school(database_url, TODAY)
    assert again.position == report.position
