"""The page on the way of one grade names files that are there."""

import re
from pathlib import Path, PurePosixPath

from infra.local.home import CHECKOUT

PAGE = CHECKOUT / "docs" / "architecture.md"


def named(row: str) -> list[Path]:
    """The files that a row of the table names; one without a folder stands in the folder of the service named before it."""
    found: list[Path] = []
    folder = PurePosixPath()
    for name in re.findall(r"`([\w/.-]+\.(?:py|js))`", row):
        path = PurePosixPath(name)
        inside = [base for base in (PurePosixPath(), folder, *folder.parents) if (CHECKOUT / base / path).is_file()]
        found.append(CHECKOUT / (inside[0] / path if inside else path))
        folder = (inside[0] / path).parent if inside else folder
    return found


def test_every_step_names_files_that_exist() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## The way of one grade")[2].partition("\n## ")[0]
    steps = [row for row in section.splitlines() if re.match(r"\| \d+ \|", row)]
    assert len(steps) > 8
    assert all(named(step) for step in steps)
    assert [str(path) for step in steps for path in named(step) if not path.is_file()] == []
