"""What the embedded platform downloads once: Apache Kafka's jars, with a bar that shows how far it is."""

from __future__ import annotations

from infra.local.home import default_cache
from infra.local.jars import JarsUnavailable, ensure_jars, missing_jars

__all__ = ["JarsUnavailable", "fetch_jars"]


def fetch_jars() -> None:
    """Have all jars in the cache; raises `JarsUnavailable`. Without the network where they are there already."""
    cache = default_cache()
    missing = missing_jars(cache)
    if not missing:
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("Apache Kafka"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(missing))
        ensure_jars(cache, lambda done, _, name: progress.update(task, completed=done, description=name))
