"""PostgreSQL and Kafka in containers of the session's own, by testcontainers."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from infra.local.databases import administering
from infra.local.kafka import answers
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import wait_until
from tests.servers import BACK_SECONDS, Servers

POSTGRES_IMAGE = ("PREAU_TEST_POSTGRES_IMAGE", "postgres:18")
KAFKA_IMAGE = ("PREAU_TEST_KAFKA_IMAGE", "apache/kafka:4.3.1")
"""The setting that names an image, and the image where it doesn't."""
STOP_SECONDS = 30
_REAPER_OFF = "TESTCONTAINERS_RYUK_DISABLED"


def image(named: tuple[str, str]) -> str:
    """The image to use."""
    setting, official = named
    return os.environ.get(setting) or official


def refuse_missing_images() -> None:
    """Fetch the images that are not here; raises `pytest.UsageError` where there is no Docker or no image."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise pytest.UsageError(f"--backends containers: Docker can't be reached ({error})") from error
    try:
        for named in (POSTGRES_IMAGE, KAFKA_IMAGE):
            _fetch(client, *named)
        # It ends what a killed session left behind; a session that ends takes its containers along without it.
        if not _had(client, testcontainers_config.ryuk_image):
            os.environ.setdefault(_REAPER_OFF, "true")
    finally:
        client.close()


def _fetch(client: docker.DockerClient, setting: str, official: str) -> None:
    name = image((setting, official))
    if not _had(client, name):
        raise pytest.UsageError(
            f"--backends containers: the image {name} can't be had. Name another by {setting}; "
            "`python -m infra.containers.build` builds local ones."
        )


def _had(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        try:
            client.images.pull(name)
        except DockerException:
            return False
    return True


class Container:
    """A server in a container whose port on this machine stays the same when it is started again."""

    def __init__(
        self,
        image: str,
        inside: int,
        port: int,
        ready: Callable[[], bool],
        settings: Mapping[str, str],
        command: str = "",
    ) -> None:
        self._ready = ready
        self._container = DockerContainer(image, command=command or None).with_envs(**settings)
        # Not by `with_bind_ports`, which would open the port to the network.
        ports: dict[str, Any] = self._container.ports
        ports[str(inside)] = (LOOPBACK, port)
        self._container.start()

    def wait(self) -> None:
        """Return once the server answers; raises where it does not in time."""
        try:
            wait_until(self._ready, BACK_SECONDS, "a container's start", pause=0.2)
        except TimeoutError as error:
            said = self._container.get_wrapped_container().logs(tail=20).decode("utf-8", "replace")
            raise TimeoutError(f"{error}; it said: {said}") from error

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=STOP_SECONDS)

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        self.wait()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def unpause(self) -> None:
        self._container.get_wrapped_container().unpause()

    def remove(self) -> None:
        """End it for good, with its data."""
        self._container.stop()


def in_containers() -> Servers:
    """Both servers, started and answering."""
    with ExitStack() as stack:
        password, postgres_port, kafka_port = secrets.token_hex(16), free_port(), free_port()
        url = f"postgresql://postgres:{password}@{LOOPBACK}:{postgres_port}/postgres"
        bootstrap = f"{LOOPBACK}:{kafka_port}"
        postgres = Container(
            image(POSTGRES_IMAGE), 5432, postgres_port, lambda: _lets_in(url),
            {"POSTGRES_PASSWORD": password}, "-c max_connections=300",
        )  # fmt: skip
        stack.callback(postgres.remove)
        kafka = Container(
            image(KAFKA_IMAGE), 9092, kafka_port, lambda: answers(LOOPBACK, kafka_port), _broker(bootstrap)
        )
        stack.callback(kafka.remove)
        postgres.wait()
        kafka.wait()
        end = stack.pop_all().close
    return Servers({"postgres": postgres, "kafka": kafka}, {"PREAU_POSTGRES_URL": url, "PREAU_KAFKA": bootstrap}, end)


def _lets_in(url: str) -> bool:
    async def enter() -> None:
        async with administering(url):
            pass

    try:
        asyncio.run(enter())
    except Exception:  # However a server that is starting refuses
        return False
    return True


def _broker(advertised: str) -> dict[str, str]:
    """One node that is broker and controller, in the variables of the official image."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{advertised}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "3000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_LOG_CLEANER_DEDUPE_BUFFER_SIZE": "16777216",
    }
