"""No secret in the tree; and the search finds each kind when it is planted, in the tree or long ago."""

from __future__ import annotations

import base64
import random
import string
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.local.home import CHECKOUT
from tests.abuse.secrets_scan import RULES, Found, NoHistory, scan, scan_history, scan_tree

_DRAWN = random.Random(7)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_DRAWN.choice(alphabet) for _ in range(length))


def _jwt() -> str:
    parts = ('{"alg": "EdDSA"}', '{"sub": "people/1"}', drawn(40))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


PLANTED = {
    "private key": Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode(),
    "token of ours": "preau_" + drawn(43),
    "JSON Web Token": _jwt(),
    "AWS key": "AKIA" + drawn(16, string.ascii_uppercase + string.digits),
    "GitHub token": "ghp_" + drawn(36),
    "GitLab token": "glpat-" + drawn(20),
    "Slack token": "xoxb-" + drawn(30),
    "package registry token": "pypi-" + drawn(80),
    "Google key": "AIza" + drawn(35),
    "password in a URL": f"postgresql://preau:{drawn(24)}@db.example/preau",
    "assigned secret": f'DB_PASSWORD = "{drawn(24)}"',
}


def test_the_tree_holds_no_secret() -> None:
    assert list(scan_tree(CHECKOUT)) == []


@pytest.mark.parametrize("rule", RULES)
def test_what_is_planted_is_found(rule: str) -> None:
    text = f"# one\nvalue: {PLANTED[rule]}\n"
    assert Found("a.py", 2, rule) in list(scan(text, "a.py"))


@pytest.mark.parametrize(
    "text",
    [
        'password = "the password of nobody"', 'PASSWORD = "jean-mace-2027"', 'token = f"preau_{secret}"',
        'f"postgresql://{name}:{password}@{host}/x"', "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA", 'secret: SecretStr',
    ],
)  # fmt: skip
def test_what_is_none_is_left_alone(text: str) -> None:
    assert list(scan(text)) == []


def git(folder: Path, *command: str) -> str:
    own = ("-c", "user.name=x", "-c", "user.email=x@exemple.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *own, *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path, name: str, text: str) -> str:
    """Write a file and commit it; returns the commit as the search tells it."""
    (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", name)
    return git(folder, "rev-parse", "HEAD")[:12]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a file of one line."""
    folder = tmp_path / "origin"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    committed(folder, "a.txt", "one\n")
    return folder


@pytest.mark.parametrize("rule", RULES)
def test_what_was_taken_away_again_is_found_in_the_history(repository: Path, rule: str) -> None:
    commit = committed(repository, "clé.txt", f"one\ntwo\n{PLANTED[rule]}\n")
    committed(repository, "clé.txt", "one\ntwo\n")
    assert Found(f"{commit}:clé.txt", 3, rule) in list(scan_history(repository))
    assert list(scan_tree(repository)) == []


def test_what_stands_on_a_branch_or_came_with_a_merge_is_found(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "other")
    aside = committed(repository, "b.txt", f"{PLANTED['AWS key']}\n")
    git(repository, "switch", "--quiet", "main")
    committed(repository, "c.txt", "c\n")
    git(repository, "merge", "--quiet", "--no-commit", "other")
    merge = committed(repository, "d.txt", f"{PLANTED['Google key']}\n")
    found = {(one.file, one.rule) for one in scan_history(repository)}
    assert {(f"{aside}:b.txt", "AWS key"), (f"{merge}:d.txt", "Google key")} <= found


def test_a_shallow_clone_and_no_repository_at_all_are_no_error(repository: Path, tmp_path: Path) -> None:
    committed(repository, "b.txt", f"{PLANTED['AWS key']}\n")
    committed(repository, "b.txt", "\n")
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    assert list(scan_history(tmp_path / "shallow")) == []
    for folder in (tmp_path / "bare", repository / "inside"):
        folder.mkdir()
        with pytest.raises(NoHistory, match="repository"):
            list(scan_history(folder))
