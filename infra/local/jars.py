"""The broker's jars: fetched once, checked against kafka.lock, then used offline."""

import fcntl
import hashlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("kafka.lock")
AT_ONCE = 4
DOWNLOAD_TIMEOUT = 60

Progress = Callable[[int, int, str], None]


class JarsUnavailable(Exception):
    """The broker's jars are not cached and could not be fetched."""


@dataclass(frozen=True)
class Jar:
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.group}.{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """The jars of the lock file, in class path order."""
    jars = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        coordinate, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def class_path(cache: Path) -> list[Path]:
    """Where each jar stands once fetched, in class path order."""
    return [cache / "jars" / jar.filename for jar in locked_jars()]


def missing_jars(cache: Path) -> list[Jar]:
    """The pinned jars that are not cached."""
    return [jar for jar in locked_jars() if not (cache / "jars" / jar.filename).exists()]


def ensure_jars(cache: Path, progress: Progress = lambda _done, _total, _name: None) -> list[Path]:
    """Fetch what is missing, and return the class path; needs no network once all is cached."""
    if missing_jars(cache):
        with _one_at_a_time(cache):
            _fetch(cache, missing_jars(cache), progress)
    return class_path(cache)


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    (cache / "jars").mkdir(parents=True, exist_ok=True)
    with (cache / "jars" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(cache: Path, jars: list[Jar], progress: Progress) -> None:
    # A download that breaks off leaves a truncated file where the resolver looks for a whole
    # one, so it works in a folder that is thrown away and only checked jars leave it.
    with tempfile.TemporaryDirectory(dir=cache / "jars", prefix=".fetch-") as folder:
        maven = context(Path(folder))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = {pool.submit(_fetch_one, maven, jar, cache): jar for jar in jars}
            for done, job in enumerate(as_completed(jobs), start=1):
                try:
                    job.result()
                except JarsUnavailable:
                    pool.shutdown(cancel_futures=True)
                    raise
                progress(done, len(jars), jobs[job].artifact)


def _fetch_one(maven: "MavenContext", jar: Jar, cache: Path) -> None:
    from requests import RequestException

    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    try:
        fetched = artifact.resolve()
    except (RequestException, RuntimeError, OSError) as error:
        raise JarsUnavailable(
            f"{jar.artifact} {jar.version} could not be fetched ({error}). The first start needs the "
            "network for Apache Kafka's jars; later ones don't."
        ) from error
    if hashlib.sha256(fetched.read_bytes()).hexdigest() != jar.sha256:
        raise JarsUnavailable(
            f"{jar.artifact} {jar.version} arrived with another checksum than kafka.lock pins; "
            "it was thrown away. Try again, and distrust the network if it stays so."
        )
    os.replace(fetched, cache / "jars" / jar.filename)


def context(cache: Path) -> "MavenContext":
    """A resolver that keeps its files in the given folder alone."""
    from jgo.maven import MavenContext

    # The resolver's HTTP library brings certificates of its own; a network that has others is known to the system alone.
    known = ssl.get_default_verify_paths().cafile
    if known is not None:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", known)
    return MavenContext(repo_cache=cache, timeout=DOWNLOAD_TIMEOUT)
