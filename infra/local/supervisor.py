"""Starts the parts of a home in order, restarts what dies, and stops all of it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from infra.local.control import ControlServer
from infra.local.home import Home
from infra.local.onlooker import Onlooker
from infra.local.parts import Elsewhere, Part, Status
from infra.local.processes import end, last_line, marked, marks, open_log, trim_log

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0
HEALTHY_AFTER = 30.0
STARTING_PAUSE, RUNNING_PAUSE = 0.1, 2.0
START_PATIENCE = 90.0
LIVENESS_FAILURES = 6
ORPHANS_PATIENCE = 20.0


@dataclass
class Event:
    """A line for whoever watches the start."""

    part: str
    text: str


class Keeper:
    """Keeps one part running."""

    def __init__(self, part: Part, supervisor: Supervisor) -> None:
        self.part = part
        self.status = Status()
        self.was_ready = asyncio.Event()
        self._supervisor = supervisor
        self._log = supervisor.home.logs / f"{part.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._backoff = FIRST_BACKOFF

    async def run(self) -> None:
        """Start the part once what it needs is ready, and again whenever it ends."""
        for name in self.part.needs:
            await self._supervisor.keepers[name].was_ready.wait()
        while not self._stopping.is_set():
            self._fail(await self._live_once())
            if not self._stopping.is_set():
                await self._back_off()
        self.status.state = "stopped"

    async def _live_once(self) -> str:
        """One life of the process; returns what ended it."""
        self.status.state = "starting"
        begun = time.monotonic()
        try:
            await self._supervisor.in_thread(self._prepare)
            if self._stopping.is_set():
                return ""
            self._process = await self._spawn()
        except Exception as error:  # Whatever hinders a start is told and tried again
            return f"could not start: {error}"
        self.status.pid, self.status.since = self._process.pid, time.time()
        watching = asyncio.create_task(self._watch(begun))
        code = await self._process.wait()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        self.status.pid = self.status.since = None
        if time.monotonic() - begun > HEALTHY_AFTER:
            self._backoff = FIRST_BACKOFF
        return self._verdict(code)

    def _prepare(self) -> None:
        if self.part.marked:
            end(marked(self._supervisor.home.root, self.part.name), signal.SIGTERM, self.part.patience)
        self.part.prepare()

    async def _spawn(self) -> asyncio.subprocess.Process:
        part = self.part
        user, group = part.account or (None, None)
        mark = marks(self._supervisor.home.root, part.name) if part.marked else {}
        with open_log(self._log) as log:
            return await asyncio.create_subprocess_exec(
                *part.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=part.folder,
                env={**part.environment, **mark},
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )

    async def _watch(self, begun: float) -> None:
        """Follow the part's readiness and liveness for as long as its process lives."""
        failures, answered = 0, False
        # Cancelling may be lost where the process ends at the same moment as a wait for it, so its end is looked at too.
        while self._process is not None and self._process.returncode is None:
            ready = await self._probe(self.part.ready)
            if ready and not self.was_ready.is_set():
                await self._finish(begun)
            if self.status.state != "stopping":
                self.status.state = "ready" if ready else "unready" if self.was_ready.is_set() else "starting"
            alive = ready or await self._probe(self.part.live)
            answered = answered or alive
            failures = 0 if alive else failures + 1
            # A process that has not answered yet is still starting, as long as that does not take for ever.
            if failures >= LIVENESS_FAILURES and (answered or time.monotonic() - begun > START_PATIENCE):
                self.status.last_error = "not live; ended for a restart"
                await self._end_process()
            trim_log(self._log)
            await asyncio.sleep(RUNNING_PAUSE if ready else STARTING_PAUSE)

    async def _probe(self, question: Callable[[], bool]) -> bool:
        try:
            return bool(await self._supervisor.in_thread(question))
        except Exception as error:  # A probe that fails says no
            self.status.last_error = f"probe failed: {error}"
            return False

    async def _finish(self, begun: float) -> None:
        try:
            await self._supervisor.in_thread(self.part.finish)
        except Exception as error:  # Told, and tried again at the next probe
            self.status.last_error = f"{self.part.name} answers but could not be set up: {error}"
            return
        self.was_ready.set()
        self._supervisor.tell(self.part.name, f"ready in {time.monotonic() - begun:.1f} s")

    def _verdict(self, code: int) -> str:
        if self._stopping.is_set():
            return ""
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        line = last_line(self._log)
        return f"{how}: {line[:300]}" if line else how

    def _fail(self, error: str) -> None:
        if error:
            self.status.last_error = error

    async def _back_off(self) -> None:
        self.status.state = "backing off"
        self.status.restarts += 1
        self._supervisor.tell(
            self.part.name, f"{self.status.last_error}; again in {self._backoff:.1f} s (log: {self._log})"
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._backoff):
                await self._stopping.wait()
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)

    async def stop(self) -> None:
        """End the part for good."""
        self._stopping.set()
        self.status.state = "stopping"
        await self._end_process()

    async def restart(self) -> None:
        """End the process; its keeper starts another."""
        await self._end_process()

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.part.patience)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@dataclass
class Supervisor:
    """The parts of one home, kept running until told to stop.

    `after` runs in a thread once every part is ready; what it returns is told to whoever watches the start.
    `idle` runs after that, and may be cut short.
    """

    home: Home
    parts: Sequence[Part | Elsewhere]
    announce: Callable[[str, str], None] = lambda _part, _text: None
    after: Callable[[], list[str]] = list
    idle: Callable[[], None] = lambda: None
    facts: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.events: list[Event] = []
        self.closing: list[str] | None = None
        self.keepers = {part.name: self._keeper(part) for part in self.parts}
        self._stop = asyncio.Event()
        self._restarting: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(4 + 2 * len(self.parts), thread_name_prefix="probe")

    def _keeper(self, part: Part | Elsewhere) -> Keeper | Onlooker:
        return Keeper(part, self) if isinstance(part, Part) else Onlooker(part, self.in_thread, self.tell)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Do something that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def tell(self, part: str, text: str) -> None:
        """Record what happened, and announce it."""
        self.events = [*self.events[-999:], Event(part, text)]
        self.announce(part, text)

    def request_stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Run until a signal or a `down`; the caller holds the home."""
        self._listen_for_signals()
        control = ControlServer(self.home, self._answer)
        await self.in_thread(self._end_orphans)
        await control.start(**self.facts)
        keeping = [asyncio.create_task(keeper.run()) for keeper in self.keepers.values()]
        starting = asyncio.create_task(self._when_ready())
        try:
            await self._stop.wait()
        finally:
            starting.cancel()
            await self._stop_all()
            for task in keeping:
                task.cancel()
            await asyncio.gather(starting, *keeping, return_exceptions=True)
            await self.in_thread(self._end_orphans)
            await control.stop()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.request_stop)

    def _end_orphans(self) -> None:
        """End what a killed supervisor left behind; services first, for they use the servers."""
        found = marked(self.home.root)
        servers = [process for process in found if _part_of(process) == "kafka"]
        end([process for process in found if process not in servers], signal.SIGTERM, ORPHANS_PATIENCE)
        end(servers, signal.SIGTERM, ORPHANS_PATIENCE)

    async def _when_ready(self) -> None:
        for keeper in self.keepers.values():
            await keeper.was_ready.wait()
        try:
            self.closing = await self.in_thread(self.after)
        except Exception as error:  # The system is up all the same
            self.closing = [f"the last step of the start failed: {error}"]
        self.tell("", "up")
        await self.in_thread(self.idle)

    async def _stop_all(self) -> None:
        left = dict(self.keepers)
        while left:
            needed = {name for keeper in left.values() for name in keeper.part.needs}
            last = {name: keeper for name, keeper in left.items() if name not in needed} or left
            await asyncio.gather(*(keeper.stop() for keeper in last.values()))
            left = {name: keeper for name, keeper in left.items() if name not in last}

    # Answers to other invocations

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        commands: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]] = {
            "facts": self._facts,
            "status": self._status,
            "down": self._down,
            "restart": self._restart,
        }
        command = commands.get(str(request.get("command")))
        return await command(request) if command else {"error": "unknown command"}

    async def _facts(self, _: dict[str, Any]) -> dict[str, Any]:
        """Where everything is: nobody is asked how they are, which takes seconds where a part stands still."""
        return dict(self.facts)

    async def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        lags = await asyncio.gather(*(self._lag(keeper) for keeper in self.keepers.values()))
        parts = [
            {"part": keeper.part.name, **vars(keeper.status), "lag": lag}
            for keeper, lag in zip(self.keepers.values(), lags, strict=True)
        ]
        events = [vars(event) for event in self.events[int(request.get("events_from", 0)) :]]
        return {**self.facts, "up": self.closing is not None, "closing": self.closing, "parts": parts, "events": events}

    async def _lag(self, keeper: Keeper | Onlooker) -> dict[str, float]:
        if isinstance(keeper, Onlooker) or keeper.status.pid is None:
            return {}
        try:
            lag: dict[str, float] = await self.in_thread(keeper.part.lag)
        except Exception:  # A status without a lag is better than none
            return {}
        return lag

    async def _down(self, _: dict[str, Any]) -> dict[str, Any]:
        self.request_stop()
        return {"stopping": True}

    async def _restart(self, request: dict[str, Any]) -> dict[str, Any]:
        keeper = self.keepers.get(str(request.get("part")))
        if keeper is None:
            return {"error": "no such part"}
        if isinstance(keeper, Onlooker):
            return {"error": f"{keeper.part.name} runs elsewhere, at {keeper.part.where}: it isn't Préau's to restart"}
        task = asyncio.create_task(keeper.restart())
        self._restarting.add(task)
        task.add_done_callback(self._restarting.discard)
        return {"restarting": keeper.part.name}


def _part_of(process: Any) -> str:
    try:
        return str(process.environ().get("PREAU_PART", ""))
    except Exception:  # It has ended meanwhile
        return ""
