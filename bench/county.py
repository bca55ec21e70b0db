"""How long a county takes to come in: the whole way of its OneRoster package, until every service knows its people.

`--schools 10` measures a smaller one, `--package FILE` another; bounds are a whole county's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench.report import Measure, Report, at_most
from cli.first_start import until_known
from cli.running_home import RunningHome
from infra.local.control import ask
from infra.local.home import CHECKOUT, Home

COUNTY_SCHOOLS = 100
SERVICES = ("grades", "feed", "notify", "gateway")
"""The services that keep a roster."""
PUPILS_A_SCHOOL = 540
WAIT_SECONDS = 300.0
AUTHORITY = "parent,guardian"


@dataclass(frozen=True, slots=True)
class Imported:
    """The importing process: what it printed, its peak memory in MiB, its seconds on a core."""

    answer: bytes
    peak_mib: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One import: seconds of the importing process and until each roster knew, seconds on a core of each part."""

    what: str
    process: float
    rosters: dict[str, float]
    cpu: dict[str, float]
    imported: Imported
    published: int
    report: dict[str, Any]


def generate(path: Path, schools: int, seed: int) -> None:
    """Write the county's package with the command an operator has for it."""
    command = ["generate", "county", "--seed", str(seed), "--schools", str(schools)]
    command += ["--pupils", str(schools * PUPILS_A_SCHOOL), "--out", str(path.parent)]
    subprocess.run([sys.executable, "-m", "cli", *command], cwd=CHECKOUT, check=True)


@contextmanager
def running(home: Home) -> Iterator[RunningHome]:
    """An embedded platform in a home of its own."""
    environment = _environment(home)
    command = [sys.executable, "-m", "cli"]
    subprocess.run([*command, "up", "--detach", "--port", "0"], cwd=CHECKOUT, env=environment, check=True)
    try:
        yield RunningHome.of(home)
    finally:
        subprocess.run([*command, "reset", "--yes"], cwd=CHECKOUT, env=environment, check=True)


def _environment(home: Home) -> dict[str, str]:
    return {**os.environ, "PREAU_HOME": str(home.root), "PYTHONPATH": str(CHECKOUT)}


def corrected(package: Path, path: Path) -> Path:
    """The same package with one family name spelled otherwise: most of all later imports are nearly the last one."""
    with zipfile.ZipFile(package) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as after:
        for name in before.namelist():
            text = before.read(name)
            if name == "users.csv":
                head, _, rows = text.partition(b"\n")
                column = head.decode().split(",").index("familyName")
                cells = rows.partition(b"\n")[0].split(b",")
                cells[column] = b"Corrected"
                text = head + b"\n" + b",".join(cells) + b"\n" + rows.partition(b"\n")[2]
            after.writestr(name, text)
    return path


def measure(what: str, up: RunningHome, package: Path) -> Measured:
    """Import the package and wait for the rosters."""
    before = asyncio.run(position(up))
    spent = cpu_seconds(up.home)
    begun = time.monotonic()
    imported = _import(up, package)
    process = time.monotonic() - begun
    report: dict[str, Any] = json.loads(imported.answer)
    if report["refused"]:
        raise SystemExit(f"the set was refused: {report['codes']}")
    rosters = asyncio.run(caught_up(up, report["position"], begun))
    cpu = {name: seconds - spent.get(name, 0.0) for name, seconds in cpu_seconds(up.home).items()}
    return Measured(what, process, rosters, cpu, imported, report["position"] - before, report)


def cpu_seconds(home: Home) -> dict[str, float]:
    """Seconds on a core of each part so far, its children among them."""
    answer: dict[str, Any] = ask(home, "status") or {}
    return {part["part"]: _tree_seconds(part["pid"]) for part in answer.get("parts", ()) if part["pid"]}


def _tree_seconds(pid: int) -> float:
    root = psutil.Process(pid)
    ended = root.cpu_times().children_user + root.cpu_times().children_system
    alive = (process.cpu_times() for process in [root, *root.children(recursive=True)])
    return ended + sum(times.user + times.system for times in alive)


def _import(up: RunningHome, package: Path) -> Imported:
    """Run the command an operator has for it."""
    command = [sys.executable, "-m", "cli", "import", "oneroster", str(package), "--authority", AUTHORITY, "--json"]
    environment = _environment(up.home)
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the import ended with {process.returncode}")
        printed.seek(0)
        # Kibibytes, but bytes on macOS.
        peak = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
        return Imported(printed.read(), peak, usage.ru_utime + usage.ru_stime)


async def position(up: RunningHome) -> int:
    """How far the directory has come."""
    connection = await asyncpg.connect(up.database_url("directory"), timeout=10)
    try:
        found: int = await connection.fetchval("SELECT sequence FROM directory_position")
        return found
    finally:
        await connection.close()


async def caught_up(up: RunningHome, wanted: int, begun: float) -> dict[str, float]:
    """Wait until the roster of every service has come as far as the directory; seconds that each took."""
    return dict(zip(SERVICES, await asyncio.gather(*(_caught_up(up, s, wanted, begun) for s in SERVICES)), strict=True))


async def _caught_up(up: RunningHome, service: str, wanted: int, begun: float) -> float:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await until_known(up.database_url(service), wanted)
    except TimeoutError as error:
        raise SystemExit(f"the roster of {service} did not catch up in {WAIT_SECONDS:.0f} s") from error
    return time.monotonic() - begun


def show(measured: list[Measured]) -> None:
    """Print the table, then where each import's time on the cores went."""
    print(f"{'':14}{'import s':>10}{'rosters s':>11}{'peak MiB':>10}{'events':>9}  problems")
    for one in measured:
        times = f"{one.process:10.1f}{max(one.rosters.values()):11.1f}{one.imported.peak_mib:10.0f}{one.published:9}"
        print(f"{one.what:14}{times}  {one.report['codes'] or 'none'}")
    for one in measured:
        print(f"{one.what}: {_figures('caught up after s', one.rosters)}")
        print(f"{one.what}: {_figures('cpu s', {'import': one.imported.cpu, **one.cpu})}")


def _figures(what: str, figures: dict[str, float]) -> str:
    return f"{what}: " + ", ".join(f"{name} {value:.1f}" for name, value in figures.items())


def load() -> str:
    """How busy the machine is."""
    return f"load average {', '.join(f'{n:.1f}' for n in os.getloadavg())}; {os.cpu_count()} cores"


def judged(first: Measured, again: Measured, one_row: Measured) -> Report:
    """What the figures must keep to."""
    report = Report("county")
    for service, seconds in first.rosters.items():
        report.add(Measure(f"from nothing: known to {service}", seconds, "s"))
    report.add(Measure("from nothing: known to all", max(first.rosters.values()), "s", at_most(60)))
    report.add(Measure("from nothing: peak memory of the import", first.imported.peak_mib, "MiB", at_most(300)))
    report.add(Measure("the same again", max(again.rosters.values()), "s", at_most(15)))
    report.add(Measure("the same again: events", again.published, "", at_most(0)))
    report.add(Measure("one row changed", max(one_row.rosters.values()), "s"))
    report.add(Measure("one row changed: events", one_row.published, "", at_most(1)))
    for part, seconds in {"import": first.imported.cpu, **first.cpu}.items():
        report.add(Measure(f"from nothing: CPU of {part}", seconds, "s"))
    return report


def main() -> bool:
    """Generate, import, wait, import again; whether every bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schools", type=int, default=COUNTY_SCHOOLS)
    parser.add_argument("--seed", type=int, default=92)
    parser.add_argument("--package", type=Path, help="import this package instead of generating one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="preau-county-") as folder:
        package = options.package or Path(folder) / "county.zip"
        if options.package is None:
            begun = time.monotonic()
            generate(package, options.schools, options.seed)
            print(f"generated in {time.monotonic() - begun:.1f} s: {package.stat().st_size / 2**20:.1f} MiB")
        home = Home(Path(folder) / "home")
        with running(home) as up:
            print(load())
            first, again = measure("from nothing", up, package), measure("the same again", up, package)
            one_row = measure("one row changed", up, corrected(package, Path(folder) / "corrected.zip"))
            show([first, again, one_row])
            print(load())
    return judged(first, again, one_row).close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
