"""A process of Préau: starts its parts in order, serves until told to stop, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

import uvicorn
import uvloop

from chassis import telemetry
from chassis.health import Health, admin_app
from chassis.settings import HttpSettings, ProcessSettings
from chassis.wire import BoundedProtocol, Bounds

_FILES = 65_536
_NEIGHBOURS = Bounds(connections=2_000)
"""What connections of the inside may do: those of the gateway's processes, and of who watches health."""
_COLLECTION = (50_000, 20, 20)
"""How many objects more there are before the collector looks at the youngest, and how often then at older ones.

Python's own 700 has a process of ten thousand connections stand still for a tenth of a second, again and again, in order to
find next to nothing: almost all that is thrown away here is in no cycle.
"""
_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Process:
    """What a composition root builds on: parts to start and stop, work in the background, servers, health."""

    def __init__(self, name: str, settings: ProcessSettings) -> None:
        self.name = name
        self.settings = settings
        self.health = Health()
        self.stopping = asyncio.Event()
        self._stack = AsyncExitStack()
        self._failed = False

    async def part(self, start: Awaitable[object], stop: Callable[[], Awaitable[object]]) -> None:
        """Start a part now and stop it, in reverse order, when the process stops."""
        await start
        self.at_end(stop)

    def at_end(self, stop: Callable[[], Awaitable[object]]) -> None:
        """Call this in its turn when the process stops: for a part that needs no start."""
        self._stack.push_async_callback(stop)

    def background(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run work for as long as the process lives; should it end or fail, the process ends too, to be restarted."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)

        async def cancel() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

        self._stack.push_async_callback(cancel)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.stopping.is_set() or task.cancelled():
            return
        _log.error("background work ended", exc_info=task.exception(), extra={"work": task.get_name()})
        self._failed = True
        self.stopping.set()

    async def serve(self, app: Any, settings: HttpSettings, **options: Any) -> None:
        """Serve the public side; `options` go to uvicorn (a protocol class, say)."""
        sock = listen(settings.host, settings.port, reuse=settings.port_shared)
        await self._serve(app, sock, self.settings.drain_seconds, **options)

    async def serve_admin(self) -> None:
        """Serve health and metrics; call it first, so that a slow start is seen as such."""
        sock = listen(self.settings.admin_host, self.settings.admin_port)
        await self._serve(admin_app(self.health), sock, 1)

    async def _serve(self, app: Any, sock: socket.socket, drain: float, **options: Any) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=max(1, int(drain)),
            timeout_keep_alive=75,
            backlog=4096,
            **{"http": partial(BoundedProtocol, bounds=_NEIGHBOURS), "ws": "none", "proxy_headers": False, **options},
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[sock]), name=f"http-{sock.getsockname()[1]}")
        task.add_done_callback(self._ended)
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.005)

        async def stop() -> None:
            server.should_exit = True
            await task

        self._stack.push_async_callback(stop)

    async def run(self, compose: Callable[[Process], Awaitable[None]]) -> int:
        """Compose, serve, stop; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        async with self._stack:
            await self.serve_admin()
            await compose(self)
            self.health.started = True
            # What start-up made lives as long as the process: collections need not look at it again.
            gc.collect()
            gc.freeze()
            _log.info("started", extra={"service": self.name})
            await self.stopping.wait()
            _log.info("stopping", extra={"service": self.name})
            limit = self.settings.drain_seconds + self.settings.stop_seconds
            asyncio.get_running_loop().call_later(limit, _give_up, self.name)
        telemetry.flush()
        return 1 if self._failed else 0


def _give_up(name: str) -> None:
    """End now: one that neither works nor ends would be restarted by nobody."""
    _log.error("did not stop in time", extra={"service": name})
    telemetry.flush()
    os._exit(1)


def listen(host: str, port: int, *, reuse: bool = False) -> socket.socket:
    """A listening socket; with `reuse`, several processes of one user share the port (SO_REUSEPORT)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((host, port))
    sock.setblocking(False)
    return sock


def file_limit() -> int:
    """How many files and connections this process may have open, which is raised as far as the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _FILES if soft == resource.RLIM_INFINITY else soft


def run(name: str, settings: ProcessSettings, compose: Callable[[Process], Awaitable[None]]) -> None:
    """The main function of a service: set telemetry up, run until a signal, exit with the status."""
    telemetry.setup(name, settings)
    gc.set_threshold(*_COLLECTION)

    async def main() -> int:
        return await Process(name, settings).run(compose)

    try:
        status = uvloop.run(main())
    except OSError as error:
        _log.exception("could not start", extra={"service": name, "cause": str(error)})
        status = 1
    sys.exit(status)
