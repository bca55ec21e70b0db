"""`preau topics`: every topic as it stands in the running Kafka."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cli.running_home import NotUp, RunningHome
from infra.local.home import Home
from infra.topics import DAY, TOPICS, Topic, as_they_stand

_HOUR = DAY // 24


@dataclass(frozen=True)
class Standing:
    """A topic in Kafka; `partitions` is 0 where it is missing."""

    topic: str
    owner: str
    partitions: int
    records: int
    retention: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(topics)


def topics(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show each topic: partitions, records, how long it keeps them, whose it is."""
    try:
        running = running_with_kafka()
    except NotUp as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from error
    found = asyncio.run(standing(running.kafka))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("topic", "owner", "partitions", "records", "keeps"):
        table.add_column(heading, justify="right" if heading in ("partitions", "records") else "left")
    for one in found:
        table.add_row(one.topic, one.owner, str(one.partitions or "missing"), str(one.records), one.retention)
    Console().print(table)


def running_with_kafka() -> RunningHome:
    """The Préau that runs in the default home, with Kafka's address; raises `NotUp`."""
    running = RunningHome.of(Home.default())
    if not running.kafka:
        raise NotUp("The Préau that runs is older than this command: `preau down`, then `preau up --detach`.")
    return running


async def standing(bootstrap: str, declared: tuple[Topic, ...] = TOPICS) -> list[Standing]:
    """How the declared topics stand; compaction makes the number of records an upper bound."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await asyncio.gather(reader.start(), admin.start())
        there = as_they_stand(declared, await admin.list_topics())
        existing = await partitions(admin, [topic.name for topic in there])
        kept = await _retentions(admin, list(existing))
        return [
            await _standing(reader, topic, existing[topic.name], kept[topic.name])
            if topic.name in existing
            else Standing(topic.name, topic.owner, 0, 0, "")
            for topic in there
        ]
    finally:
        await reader.stop()
        await admin.close()


async def partitions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, list[TopicPartition]]:
    """The partitions of those of the topics that exist."""
    existing = set(await admin.list_topics())
    wanted = [name for name in names if name in existing]
    described = await admin.describe_topics(wanted) if wanted else []
    return {
        entry["topic"]: [TopicPartition(entry["topic"], part["partition"]) for part in entry["partitions"]]
        for entry in described
    }


async def _standing(reader: AIOKafkaConsumer, topic: Topic, places: list[TopicPartition], retention: str) -> Standing:
    begins, ends = await asyncio.gather(reader.beginning_offsets(places), reader.end_offsets(places))
    records = sum(ends[place] - begins[place] for place in places)
    return Standing(topic.name, topic.owner, len(places), records, retention)


async def _retentions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found = {}
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            found[name] = _retention({entry[0]: entry[1] for entry in entries})
    return found


def _retention(config: dict[str, Any]) -> str:
    if "compact" in config.get("cleanup.policy", ""):
        return "the latest of each key"
    span = int(config.get("retention.ms", -1))
    if span < 0:
        return "for ever"
    return f"{span // DAY} days" if span >= DAY else f"{span // _HOUR} hours"
