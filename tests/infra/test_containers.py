"""The images' contents and the composed platform: everything from the lock, every service once, secrets made once."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from infra.containers.build import HERE, IMAGES, SERVERS, closure, locked, required
from infra.containers.secrets import make
from infra.local.system import SERVICES, WITH_DATABASE

COMPOSE = (HERE / "compose.yaml").read_text(encoding="utf-8")


def test_the_image_of_preau_has_what_services_need_from_the_lock_and_nothing_else() -> None:
    names = closure(required())
    assert {"asyncpg", "starlette", "cryptography", "pydantic-core"} <= names
    assert not names & (SERVERS | {"pytest", "mypy", "testcontainers"})
    stanzas = [one for one in re.split(r"\n(?=\S)", locked(names)) if one.strip()]
    assert len(stanzas) == len(names)
    assert all("==" in one and "--hash=sha256:" in one for one in stanzas)


def test_what_the_lock_does_not_name_goes_into_no_image() -> None:
    with pytest.raises(KeyError):
        locked({"no-such-package"})


def test_each_image_is_built_from_a_base_that_can_be_named() -> None:
    for name in IMAGES:
        lines = (HERE / f"{name}.Dockerfile").read_text(encoding="utf-8").splitlines()
        froms = [line.split()[1] for line in lines if line.startswith("FROM ")]
        assert set(froms) == {"${BASE}"}
        assert next(line for line in reversed(lines) if line.startswith("USER ")) != "USER root"


def test_every_service_is_composed_with_the_secrets_that_are_made(tmp_path: Path) -> None:
    run = re.findall(r"command: \[run, (\w+)\]", COMPOSE)
    assert sorted(run) == sorted([*SERVICES, "mailbox"])
    variables = make(tmp_path / "secrets").read_text(encoding="utf-8")
    made = {line.partition("=")[0] for line in variables.splitlines()}
    assert set(re.findall(r"\$\{(\w+):\?\}", COMPOSE)) == made
    assert {f"{name.upper()}_PASSWORD" for name in WITH_DATABASE} <= made


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = make(folder).read_text(encoding="utf-8")
    keys = (folder / "token-private.pem").read_text(encoding="utf-8")
    assert make(folder).read_text(encoding="utf-8") == first
    assert (folder / "token-private.pem").read_text(encoding="utf-8") == keys
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "compose.env").stat().st_mode) == 0o600
