"""A search for secrets in the tree that git keeps and in all that was ever added to it, by rules of shape.

`python -m tests.abuse.secrets_scan` searches the history and ends with 1 where it holds any.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RULES = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\n?[A-Za-z0-9+/=]{32,}"),
    "token of ours": re.compile(r"\bpreau_[A-Za-z0-9_-]{40,}"),
    "JSON Web Token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b"),
    "GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20,}\b"),
    "package registry token": re.compile(r"\b(?:pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})\b"),
    "Google key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "password in a URL": re.compile(r"\b[a-z][a-z0-9+]*://[^\s/:@'\"{}<>]+:(?P<value>[^\s/@'\"{}<>]{8,})@(?!\{)"),
    "assigned secret": re.compile(
        r"(?i)\b[\w-]*(?:password|passwd|secret|token|api_?key|credential)[\w-]*[\"']?\s*[:=]\s*[\"'](?P<value>[^\"'\s{}]{16,})[\"']"
    ),
}
_RANDOM_BITS = 3.6
"""Bits a character from which a value looks drawn and not written."""
_LARGEST = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A place that looks like a secret; the secret itself is not told."""

    file: str
    line: int
    rule: str


def scan(text: str, file: str = "") -> Iterator[Found]:
    """What in a text looks like a secret."""
    for rule, pattern in RULES.items():
        for match in pattern.finditer(text):
            value = match.groupdict().get("value")
            if value is None or _looks_drawn(value):
                yield Found(file, text.count("\n", 0, match.start()) + 1, rule)


def _looks_drawn(value: str) -> bool:
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= _RANDOM_BITS and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def scan_tree(root: Path) -> Iterator[Found]:
    """What in the files that git keeps, or would, looks like a secret."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        path = root / name
        if name and path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            yield from scan(path.read_bytes().decode("utf-8", "replace"), name)


_LOG = (
    *("log", "--reverse", "--branches", "--tags", "--remotes", "HEAD", "-p", "-m", "-U0", "--format=%x00%H"),
    *("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/"),
)
_ADDED_AT = re.compile(r" \+(\d+)")


class NoHistory(Exception):
    """There is no git, or no repository it would read here; the message says which."""


def scan_history(root: Path) -> Iterator[Found]:
    """What in all that any commit added looks like a secret; the file is told as `<commit>:<path>`.

    Of a shallow clone that is what it has. Raises `NoHistory`.
    """
    told = set[tuple[str, str]]()
    for file, line, text in _added(root):
        path = file.partition(":")[2]
        if (path, text) not in told:
            told.add((path, text))
            yield from (Found(file, line + one.line - 1, one.rule) for one in scan(text, file))


def _added(root: Path) -> Iterator[tuple[str, int, str]]:
    """File, line and text of each run of lines that a commit added."""
    for change in _log(root).split("\0")[1:]:
        commit = change[:12]
        # No line of a file begins so: each has a sign, or a backslash, before it.
        for diff in change.split("\ndiff --git ")[1:]:
            head, *hunks = diff.split("\n@@ ")
            path = head.rpartition("\n+++ ")[2].strip('"').removeprefix("b/")
            for hunk in hunks:
                place, *rows = hunk.split("\n")
                line = int(_ADDED_AT.findall(place)[0])
                yield f"{commit}:{path}", line, "\n".join(row[1:] for row in rows if row.startswith("+"))


def _log(root: Path) -> str:
    command = ["git", "-c", "core.quotePath=false", *_LOG]
    # The history of a repository that this folder merely lies in is none of ours.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.resolve().parent)}
    try:
        done = subprocess.run(command, cwd=root, env=alone, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise NoHistory("there is no git") from error
    if done.returncode:
        raise NoHistory(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0])
    return done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")


def main() -> int:
    """Search the history of the folder that one stands in."""
    try:
        found = list(scan_history(Path.cwd()))
    except NoHistory as missing:
        print(f"No history was searched for secrets: {missing}.")
        return 0
    for one in found:
        print(f"{one.file}, line {one.line}: {one.rule}")
    print(f"The history was searched for secrets: {len(found)} found.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
