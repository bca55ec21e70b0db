"""The relay as a process: one relay for each database it is told of, each independent of the others."""

from __future__ import annotations

from pydantic import SecretStr

from chassis.process import Process, run
from chassis.relay import Relay
from chassis.settings import KafkaSettings, ProcessSettings


class RelaySettings(ProcessSettings, KafkaSettings):
    """What the relay is told."""

    relay_databases: dict[str, SecretStr]
    """Service name to direct (unpooled) database URL, as a JSON object."""


def main() -> None:
    """Run the relay."""
    settings = RelaySettings()

    async def compose(process: Process) -> None:
        for service, url in settings.relay_databases.items():
            relay = Relay(service, url.get_secret_value(), settings.kafka)
            process.health.live(f"relay {service}", relay.stalled)
            process.background(f"relay {service}", relay.run())

    run("relay", settings, compose)
