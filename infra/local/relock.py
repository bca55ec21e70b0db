"""Resolves the broker's jars anew and writes kafka.lock: `python -m infra.local.relock`."""

import hashlib
import tempfile
from pathlib import Path

from infra.local.jars import LOCK, context

# Each root is resolved alone and Kafka comes first: resolved together, log4j's managed versions
# would silently replace kafka-clients by an older release.
ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)


def resolve(cache: Path) -> list[str]:
    """One line a jar: its coordinate and its SHA-256, in class path order."""
    maven = context(cache)
    lines: dict[str, str] = {}
    for root in ROOTS:
        inputs, rest = maven.resolver.resolve([maven.create_dependency(root)])
        for dependency in [*inputs, *rest]:
            digest = hashlib.sha256(dependency.artifact.resolve().read_bytes()).hexdigest()
            name = f"{dependency.groupId}:{dependency.artifactId}"
            lines.setdefault(name, f"{name}:{dependency.version} {digest}")
    return list(lines.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        LOCK.write_text("\n".join(resolve(Path(folder))) + "\n", encoding="utf-8")
