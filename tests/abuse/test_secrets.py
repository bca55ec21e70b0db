"""No secret in the tree; and the search finds each kind when it is planted."""

from __future__ import annotations

import base64
import random
import string

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.local.home import CHECKOUT
from tests.abuse.secrets_scan import RULES, Found, scan, scan_tree

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
