"""The page on imports explains every code that a report can show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from infra.local.home import CHECKOUT
from services.directory import importing

CODE_ARGUMENT = {"refuse": 0, "_Unreadable": 0, "add": 1, "Rejected": 1, "_report": 1}
HYPHENATED = re.compile(r"[a-z]+(-[a-z0-9]+)+")
NO_CODE = {"utf-8", "iso-8859-15"}


def codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and HYPHENATED.fullmatch(node.value):
            yield node.value
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = CODE_ARGUMENT.get(name)
            argument = node.args[place] if place is not None and len(node.args) > place else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def test_every_code_is_explained() -> None:
    folder = Path(importing.__path__[0])
    found = {code for file in folder.glob("*.py") for code in codes(ast.parse(file.read_text()))} - NO_CODE
    page = (CHECKOUT / "docs" / "import.md").read_text()
    explained = {code for line in page.split("### Refusals")[1].splitlines() if line.startswith("| `")
                 for code in re.findall(r"`([a-z0-9-]+)`", line.split("|")[1])}  # fmt: skip
    assert {"bomb", "date", "email"} <= explained
    assert found - explained == set(), "codes the page does not explain"
    assert explained - found <= {"bomb", "encrypted", "compression", "damaged"}, "codes no report shows"
