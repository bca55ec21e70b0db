"""Child processes: starting them with bounded logs, knowing them again, and ending them."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

LOG_LIMIT = 8 * 1024 * 1024
GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


# Where things are and who may enter is the supervisor's to say; other settings are the caller's tuning.
WITHHELD = frozenset(
    f"PREAU_{name}"
    for name in (
        "ADMIN_HOST", "ADMIN_PORT", "CACHE", "CURSOR_SECRET", "DATABASE_DIRECT_URL", "DATABASE_PREFIX", "DATABASE_URL",
        "GATEWAY_URL", "HOME", "HOST", "INSTANCE", "KAFKA", "MAILBOX_FILE", "MAILBOX_SMTP_HOST", "MAILBOX_SMTP_PORT",
        "PART", "PORT", "PORT_SHARED", "POSTGRES_DIRECT_URL", "POSTGRES_URL", "PUBLIC_URL", "RELAY_DATABASES", "SERVICES",
        "SIGN_IN_PROVIDERS", "SUPERVISOR", "TOKEN_PRIVATE_KEY", "TOKEN_PUBLIC_KEY",
    )
)  # fmt: skip


def plain_environment() -> dict[str, str]:
    """The caller's environment without what names servers and secrets, so that none leaks into a part."""
    # Every service compiling every module again at every start costs as much as all else.
    withheld = WITHHELD | {"PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in withheld}


def marks(home: Path, part: str) -> dict[str, str]:
    """The variables by which a part's processes are known again after its supervisor died."""
    return {"PREAU_HOME": str(home), "PREAU_PART": part}


def marked(home: Path, part: str | None = None) -> list[psutil.Process]:
    """The living processes of a home's parts.

    The environment is read from the process itself, so a recycled process id can't mislead.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE):
            environment = process.environ()
            name = environment.get("PREAU_PART")
            if environment.get("PREAU_HOME") != str(home) or not name:
                continue
            if part in (None, name) and process.pid != os.getpid():
                found.append(process)
    return found


def working_in(folder: Path, name: str) -> list[psutil.Process]:
    """The living processes of that name whose working folder is this one."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(*GONE):
            if process.info["name"] == name and Path(process.cwd()) == folder:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], number: int, patience: float) -> None:
    """Ask processes to end, and make those end that don't in time."""
    processes = list(processes)
    for process in processes:
        # psutil compares the start time first: a stranger with the same id is left alone.
        with contextlib.suppress(*GONE):
            process.send_signal(number)
    left = _alive_after(processes, patience)
    for process in left:
        with contextlib.suppress(*GONE):
            process.kill()
    _alive_after(left, 5)


def _alive_after(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end; which of them haven't."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def alive(process: psutil.Process) -> bool:
    """Whether it still runs; in a container whose init reaps nobody, the dead stay as zombies."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def open_log(path: Path) -> IO[bytes]:
    """A log file to append to; a large one is set aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def trim_log(path: Path) -> None:
    """Set aside the content of a log that a running process has made too large."""
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    folder: Path | None = None,
    account: tuple[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output in a log."""
    user, group = account or (None, None)
    with open_log(log) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if account is None else [],
        )


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, patience: float = 15) -> None:
    """End a child that this process started."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.05) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {seconds:.0f} s")
        time.sleep(pause)
