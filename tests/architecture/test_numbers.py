"""Migrations of a component, and decision records, are numbered one after the other, each number once."""

from collections import defaultdict
from pathlib import Path

from infra.local.home import CHECKOUT


def test_each_number_stands_once_and_none_is_missing() -> None:
    numbers: dict[Path, list[int]] = defaultdict(list)
    for path in CHECKOUT.glob("**/migrations/*.sql"):
        if ".venv" not in path.parts:
            numbers[path.parent].append(int(path.name.partition("_")[0]))
    assert len(numbers) > 5
    assert {str(folder): sorted(found) for folder, found in numbers.items()} == {
        str(folder): list(range(1, len(found) + 1)) for folder, found in numbers.items()
    }


def test_decision_records_bear_their_numbers() -> None:
    records = sorted((CHECKOUT / "docs" / "adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    titled = [path.read_text(encoding="utf-8").partition(".")[0] for path in records]
    assert titled == [f"# {number}" for number in numbers]
