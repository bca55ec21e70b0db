"""`preau up`, `down`, `status`, `restart`, `reset` and `run`: the life of a Préau on one machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.downloads import JarsUnavailable, fetch_jars
from infra.local.control import ask
from infra.local.home import Home, HomeTaken
from infra.local.ports import PortTaken, hold_public_port, is_free

if TYPE_CHECKING:
    from infra.local.given import Given
    from infra.local.system import System

START_LIMIT = 300.0
STOP_LIMIT = 90.0
PAUSE = 0.1


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, down, status, restart, reset, run):
        app.command()(command)
    app.command("supervise", hidden=True)(supervise)


Port = Annotated[int, typer.Option(min=0, max=65535, help="Public port on 127.0.0.1; 0 picks a free one.")]
Scale = Annotated[
    list[str] | None,
    typer.Option(help="Processes of a service, as grades=2; several by commas.", metavar="SERVICE=N,…"),
]


def up(
    port: Port = 8080,
    scale: Scale = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once all is up.")] = False,
) -> None:
    """Start everything, and stay until Ctrl-C."""
    home = Home.default()
    _create(home)
    workers = _workers(scale)
    if home.taken():
        _tell_that_it_is_up(home)
        return
    given = _given(home)
    try:
        if not given.kafka:
            fetch_jars()
    except JarsUnavailable as error:
        _fail(str(error))
    if detach:
        _start_apart(home, port, scale or [])
    else:
        _supervise(home, port, workers, given, quiet=False)


def supervise(port: Port = 8080, scale: Scale = None) -> None:
    """Run as the background process of `up --detach`."""
    home = Home.default()
    _supervise(home, port, _workers(scale), _given(home), quiet=True)


def down() -> None:
    """Stop everything, in order."""
    home = Home.default()
    if not home.taken():
        typer.echo("Préau isn't up." if not _end_leftovers(home) else "Ended what an earlier run left behind.")
        return
    _stop_and_wait(home)
    others = _left_alone(home)
    typer.echo("Préau is down." + (f" {others}: not Préau's to stop." if others else ""))


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show each part: its state, since when, restarts, last error, and how far it is behind."""
    home = Home.default()
    answer = ask(home, "status") if home.taken() else None
    if as_json:
        shown = {"up": False, "parts": []} if answer is None else _without_private(answer)
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    elif answer is None:
        typer.echo("Préau isn't up.")
    else:
        _print_status(answer)
    if answer is None:
        raise typer.Exit(3)


def restart(part: str) -> None:
    """End one part; it is started again at once."""
    answer = ask(Home.default(), "restart", part=part)
    if answer is None or "error" in answer:
        _fail((answer or {}).get("error", "Préau isn't up."))


def reset(yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Stop everything and erase the data, keys and logs of this home."""
    home = Home.default()
    others = _left_alone(home)
    if not yes:
        typer.confirm(f"Erase all data in {home.root}?", abort=True)
    if home.taken():
        _stop_and_wait(home)
    _end_leftovers(home)
    home.wipe()
    typer.echo(f"{home.root} is empty; the next `preau up` starts afresh.")
    if others:
        typer.echo(
            f"What is in {others} is left as it is: its databases, roles and topics are for who runs it to drop."
        )


def run(service: str) -> None:
    """Run one service as this process, configured by environment variables."""
    from cli.running import run_service

    run_service(service)


# Starting


def _create(home: Home) -> None:
    try:
        home.create()
    except PermissionError as error:
        _fail(f"{error}. Choose another folder with PREAU_HOME.")


def _given(home: Home) -> Given:
    """The servers that settings give, which are those of the home where it has any."""
    from infra.local.given import BadServers, Given

    try:
        given = Given.of()
        given.refuse_others(home)
    except BadServers as error:
        _fail(str(error))
    return given


def _left_alone(home: Home) -> str:
    from infra.local.given import left_alone

    return left_alone(home)


def _workers(scale: list[str] | None) -> dict[str, int]:
    from infra.local.system import BadScale, parse_scale

    try:
        return parse_scale(scale or [])
    except BadScale as error:
        _fail(str(error))


def _mailbox_port(port: int) -> int:
    """The port of the mailbox's pages: the same from run to run unless it is taken or any will do."""
    from infra.local.system import DEFAULT_MAILBOX_PORT

    return DEFAULT_MAILBOX_PORT if port and is_free(DEFAULT_MAILBOX_PORT) else 0


def _supervise(home: Home, port: int, workers: dict[str, int], given: Given, *, quiet: bool) -> None:
    from infra.local.supervisor import Supervisor
    from infra.local.system import System

    try:
        hold = home.take()
    except HomeTaken:
        _tell_that_it_is_up(home)
        return
    try:
        reservation = hold_public_port(port)
    except PortTaken as taken:
        _fail(str(taken))
    begun = time.monotonic()
    public = reservation.getsockname()[1]
    system = System(home, public, workers, notice=typer.echo, mailbox_port=_mailbox_port(port), given=given)

    def announce(part: str, text: str) -> None:
        if part:
            typer.echo(f"  {part:<12} {text}")
        else:
            _print_closing(system.url, supervisor.closing or [], time.monotonic() - begun)

    async def main() -> None:
        await supervisor.run()

    async def make() -> Supervisor:
        return Supervisor(
            home,
            system.parts(),
            announce=(lambda _part, _text: None) if quiet else announce,
            after=lambda: _settle(system),
            idle=system.kafka.build_archive,
            facts={
                "url": system.url,
                "mailbox": system.mailbox_url,
                "smtp": "{}:{}".format(*system.smtp),
                "home": str(home.root),
                "postgres": system.postgres_place,
                "database_prefix": system.given.prefix,
                "kafka": system.bootstrap,
            },
        )

    with asyncio.Runner() as runner:
        supervisor = runner.run(make())
        runner.run(main())
    reservation.close()
    hold.release()
    if not quiet:
        typer.echo("Préau is down.")


def _settle(system: System) -> list[str]:
    """All is up: the home stands on these servers from now on."""
    system.given.remember(system.home)
    return _demo_school(system)


def _demo_school(system: System) -> list[str]:
    """Load the demo school on the first start; says who to sign in as."""
    from cli.first_start import load_demo_school
    from cli.running_home import RunningHome

    place, prefix = system.postgres_place, system.given.prefix
    people = load_demo_school(RunningHome(system.home, system.url, place, system.bootstrap, prefix))
    return [f"E-mails end in the mailbox: {system.mailbox_url}", *people]


def _start_apart(home: Home, port: int, scale: list[str]) -> None:
    try:
        hold_public_port(port).close()
    except PortTaken as taken:
        _fail(str(taken))
    begun = time.monotonic()
    options = [f"--scale={entry}" for entry in scale]
    log = home.logs / "supervisor.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "supervise", f"--port={port}", *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "PREAU_HOME": str(home.root)},
        )  # fmt: skip
    _follow(home, child, begun)


def _follow(home: Home, child: subprocess.Popen[bytes], begun: float) -> None:
    """Show the parts of a supervisor in the background as they start."""
    shown = 0
    while time.monotonic() - begun < START_LIMIT:
        if child.poll() is not None:
            from infra.local.processes import last_line

            _fail(f"The start failed: {last_line(home.logs / 'supervisor.log')}")
        answer = ask(home, "status", events_from=shown)
        for event in (answer or {}).get("events", []):
            shown += 1
            if event["part"]:
                typer.echo(f"  {event['part']:<12} {event['text']}")
        if answer and answer["up"]:
            _print_closing(answer["url"], answer["closing"], time.monotonic() - begun)
            return
        time.sleep(PAUSE)
    _fail(f"Not all parts were ready after {START_LIMIT:.0f} s; `preau status` tells which.")


# Stopping


def _stop_and_wait(home: Home) -> None:
    ask(home, "down")
    deadline = time.monotonic() + STOP_LIMIT
    while home.taken():
        if time.monotonic() > deadline:
            _fail(f"Préau did not stop within {STOP_LIMIT:.0f} s; its logs are in {home.logs}.")
        time.sleep(PAUSE)


def _end_leftovers(home: Home) -> bool:
    from infra.local.processes import end, marked, working_in

    services = marked(home.root)
    end(services, signal.SIGTERM, STOP_LIMIT / 3)
    servers = working_in(home.root / "postgres" / "data", "postgres")
    end(servers, signal.SIGINT, STOP_LIMIT / 3)
    return bool(services or servers)


# Telling


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _tell_that_it_is_up(home: Home) -> None:
    deadline = time.monotonic() + 10
    while (answer := ask(home, "status")) is None and time.monotonic() < deadline:
        time.sleep(PAUSE)
    if answer is None:
        _fail(f"Another process holds {home.root}; try again once it has ended.")
    else:
        typer.echo(f"Préau is already {'up' if answer['up'] else 'starting'}: {answer['url']}")


def _print_closing(url: str, lines: list[str], seconds: float) -> None:
    typer.echo(f"\nPréau is up in {seconds:.1f} s: {url}")
    for line in lines:
        typer.echo(line)


def _without_private(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("closing", "events")}


_BEHIND = {
    "preau_consumer_lag": (1, "{:.0f} events"),
    "preau_outbox_age_seconds": (1, "outbox {:.0f} s"),
    "preau_roster_age_seconds": (15, "directory {:.0f} s"),
    "preau_parked_keys": (1, "{:.0f} keys parked"),
}


def _behind(lag: dict[str, float]) -> str:
    """How far a part is behind, in words; nothing while it keeps up."""
    told = ((text, lag[name]) for name, (least, text) in _BEHIND.items() if lag.get(name, 0) >= least)
    return ", ".join(text.format(value) for text, value in told)


def _print_status(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "pid", "up since", "restarts", "behind", "last error"):
        table.add_column(heading, overflow="fold")
    for part in answer["parts"]:
        since = datetime.fromtimestamp(part["since"]).astimezone() if part["since"] else None
        table.add_row(
            f"{part['part']} {part['where']}".strip(), part["state"], str(part["pid"] or ""),
            f"{since:%d/%m %H:%M:%S}" if since else "",
            str(part["restarts"]), _behind(part["lag"]), part["last_error"],
        )  # fmt: skip
    addresses = f"{answer['url']}\n{answer.get('mailbox', '')} (mailbox)"
    Console().print(addresses, table, sep="\n\n")
