"""The gateway, composed: front door, proxy, stream."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from opentelemetry.metrics import CallbackOptions, Observation
from starlette.routing import Route

from chassis import consumer, telemetry
from chassis.cursor import Cursors
from chassis.database import UNREACHABLE, Database
from chassis.http import create_app
from chassis.idempotency import Writes
from chassis.identity import TokenSigner
from chassis.migrations import CHASSIS, migrate
from chassis.process import Process, file_limit, run
from chassis.settings import pem
from chassis.wire import Bounds
from contracts import directory, feed, generations
from roster.freshness import Freshness
from roster.replica import ROSTER, Roster
from services.gateway import api, limits, store
from services.gateway.activation.api import router as activation_routes
from services.gateway.attempts import AttemptLimits
from services.gateway.authentication import Authenticator
from services.gateway.front import Front
from services.gateway.headers import SafeHeaders
from services.gateway.history import FeedHistory
from services.gateway.limiter import Rate
from services.gateway.limits import Addresses, Limited, RequestLimits
from services.gateway.openapi import OpenApi
from services.gateway.openid.api import router as sign_in_routes
from services.gateway.openid.http import ProviderHttp
from services.gateway.openid.provider import Provider
from services.gateway.passwords import Passwords
from services.gateway.proxy import Proxy, ToServices
from services.gateway.seals import Seals
from services.gateway.settings import GatewaySettings
from services.gateway.stream.catchup import CatchUp
from services.gateway.stream.directory_log import DirectoryLog
from services.gateway.stream.door import Door, Limits
from services.gateway.stream.fanout import FanOut
from services.gateway.stream.generations import Generations
from services.gateway.stream.intake import Intake
from services.gateway.stream.pace import Pace
from services.gateway.stream.protocol import protocol
from services.gateway.stream.rights import Rights
from services.gateway.stream.ring import Ring
from services.gateway.stream.tail import Tail
from services.gateway.stream.turns import SchoolWatch, keep_dates
from services.gateway.upstream import InwardTokens, Upstream

GATEWAY = ("gateway", Path(__file__).parent / "migrations")
COMPONENTS = (CHASSIS, ROSTER, GATEWAY)
"""What the gateway's database is made of."""
_SWEEP_SECONDS = 600.0
_OTHER_FILES = 512
"""Descriptors kept for what is no client's connection: services, database, Kafka, libraries."""


def main() -> None:
    """Run one gateway process until it is told to stop; several may share the port."""
    settings = GatewaySettings()
    run("gateway", settings, lambda process: compose(process, settings))


async def compose(process: Process, settings: GatewaySettings) -> None:
    """Start the gateway's parts in order."""
    await migrate(settings.direct_url(), COMPONENTS)
    database = Database(settings)
    await process.part(database.open(), database.close)
    await _roster(process, settings, database)
    await serve(process, settings, database, Topics())


@dataclass(frozen=True, slots=True)
class Topics:
    """What a gateway process tails."""

    directory: str = directory.TOPIC
    feed: str = feed.TOPIC
    """Of the first generation; those after it are announced with their topics."""
    generations: str = generations.TOPIC


async def serve(process: Process, settings: GatewaySettings, database: Database, topics: Topics) -> None:
    """Start all that rests on an open database whose roster somebody keeps."""
    upstream = _upstream(settings)
    process.at_end(upstream.close)
    authenticator = Authenticator(database)
    requests = RequestLimits(rates(settings), authenticator)
    door = await _stream(process, settings, topics, database, authenticator, upstream, requests)
    process.background("revocations", authenticator.listen(settings.direct_url(), door.watched))
    process.background("sweep", _sweep(database))
    process.background("idempotency-keys", Writes(database).sweep())
    http = ProviderHttp(settings.provider_seconds)
    await process.part(http.open(), http.close)
    app = front_app(settings, database, authenticator, upstream, http)
    await process.serve(
        Limited(app, requests),
        settings,
        http=protocol(door, Addresses(settings.trusted_proxies)),
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
    )


def _upstream(settings: GatewaySettings) -> Upstream:
    signer = TokenSigner(pem(settings.token_private_key.get_secret_value()))
    return Upstream(settings.services, InwardTokens(signer), settings.upstream_requests, settings.upstream_seconds)


async def _roster(process: Process, settings: GatewaySettings, database: Database) -> None:
    """The replica is the gateway's, not the process's: whichever worker holds the partition feeds it for all."""
    roster = Roster(database, "gateway", silence_seconds=settings.silence_seconds)
    broker = consumer.broker(settings.kafka)
    roster.subscribe(broker)
    roster.watch(process.health, stale_is_unready=True)
    process.background("roster-age", roster.measure())
    process.background("consumers", consumer.keep_running(broker, process.health, settings.instance))


def front_app(
    settings: GatewaySettings,
    database: Database,
    authenticator: Authenticator,
    upstream: Upstream,
    http: ProviderHttp,
) -> SafeHeaders:
    """Everything but the stream: what the gateway answers itself, and the proxy for the rest."""
    proxy = Proxy(upstream, authenticator)
    app = create_app("Préau", settings, public=True, first=[ToServices(proxy)])
    # The whole API is described under /v1; the root belongs to the portal.
    app.router.routes[:] = [r for r in app.router.routes if not (isinstance(r, Route) and r.path == app.openapi_url)]
    for routes in (api.router, sign_in_routes, activation_routes):
        app.include_router(routes)
    public_url = settings.public_url.rstrip("/")
    app.state.front = Front(
        database=database,
        authenticator=authenticator,
        passwords=Passwords(settings.password_threads),
        limits=AttemptLimits(
            settings.sign_in_window, settings.sign_in_account, settings.sign_in_address, settings.sign_in_wait
        ),
        session_seconds=settings.session_hours * 3600,
        activation_seconds=settings.activation_days * 86_400,
        openapi=OpenApi(upstream, app.openapi()),
        seals=Seals(pem(settings.token_private_key.get_secret_value())),
        providers={one.name: Provider(one, http, public_url) for one in settings.sign_in_providers},
        public_url=public_url,
    )
    app.router.default = proxy
    return SafeHeaders(app)


async def _stream(
    process: Process,
    settings: GatewaySettings,
    topics: Topics,
    database: Database,
    authenticator: Authenticator,
    upstream: Upstream,
    requests: RequestLimits,
) -> Door:
    cursors = Cursors(settings.cursor_secret.get_secret_value().encode())
    pace = Pace(beat=settings.heartbeat_seconds, reader_deadline=settings.reader_seconds)
    fanout = FanOut(_ring(settings), cursors, pace, asyncio.get_running_loop())
    rights = Rights(DirectoryLog(settings.directory_changes))
    directory_tail = Tail(settings.kafka, topics.directory)
    announced = Generations(settings.kafka, topics.generations, topics.feed)
    freshness = Freshness(directory_tail.ask_end, settings.silence_seconds)
    intake = Intake(fanout, rights, announced, directory_tail, freshness, database, partial(_ring, settings))
    for part in (directory_tail, announced, intake):
        process.at_end(part.close)
    intake.watch(process.health)
    door = Door(fanout, rights, intake, authenticator, database, _limits(settings), requests, worker_name(settings))
    schools = SchoolWatch(rights, database, fanout.change)
    catch_up = CatchUp(fanout, FeedHistory(upstream).page, settings.catch_up_pages)
    process.background("directory", intake.follow_directory(settings.directory_changes))
    process.background("generations", announced.follow())
    process.background("renewals", intake.renew_readers())
    process.background("feed", intake.follow_feed(settings.ring_items))
    process.background("dates", keep_dates(rights))
    process.background("schools", schools.keep())
    process.background("beats", _beats(fanout))
    for number in range(settings.catch_up_workers):
        process.background(f"catch-up-{number}", catch_up.work())
    _measure(fanout, rights, intake)
    return door


def _ring(settings: GatewaySettings) -> Ring:
    return Ring(settings.ring_items, settings.ring_bytes)


def _limits(settings: GatewaySettings) -> Limits:
    # A process without a free descriptor can't accept at all: it refuses before that.
    connections = min(settings.connections, file_limit() - _OTHER_FILES)
    bounds = Bounds(connections, reader_seconds=settings.reader_seconds)
    return Limits(settings.streams, settings.streams_per_account, settings.retry_ms, bounds)


def rates(settings: GatewaySettings) -> dict[str, Rate]:
    """How many requests of each class one client may make."""
    return {
        limits.READS: Rate(settings.reads_per_second, settings.reads_burst),
        limits.WRITES: Rate(settings.writes_per_second, settings.writes_burst),
        limits.STREAMS: Rate(settings.streams_per_second, settings.streams_burst),
        limits.ANONYMOUS: Rate(settings.anonymous_per_second, settings.anonymous_burst),
    }


def worker_name(settings: GatewaySettings) -> str:
    """How this process names itself to clients and operators."""
    return settings.worker or str(os.getpid())


def _measure(fanout: FanOut, rights: Rights, intake: Intake) -> None:
    telemetry.gauge("preau_streams", "Open streams", lambda: len(fanout))
    telemetry.gauge("preau_ring_items", "Items in the ring", lambda: len(fanout.ring))
    telemetry.gauge("preau_ring_bytes", "Bytes of frames in the ring", lambda: fanout.ring.bytes)
    telemetry.gauge("preau_feed_position", "Greatest offset of the feed taken in", lambda: fanout.ring.head)
    telemetry.gauge("preau_directory_position", "Greatest sequence of the directory", lambda: rights.log.position)
    telemetry.gauge("preau_directory_age_seconds", "Since the directory was heard of", lambda: intake.freshness.age)

    def sent(_: CallbackOptions) -> list[Observation]:
        return [Observation(fanout.sent)]

    telemetry.meter.create_observable_counter("preau_items_sent", [sent], description="Items written to streams")


async def _beats(fanout: FanOut) -> None:
    while True:
        await asyncio.sleep(fanout.wheel.tick)
        fanout.beat()


async def _sweep(database: Database) -> None:
    """Remove what is over; every process does, which costs little and needs no leader."""
    while True:
        with contextlib.suppress(*UNREACHABLE):
            async with database.transaction() as connection:
                await store.sweep(connection)
        await asyncio.sleep(_SWEEP_SECONDS)
