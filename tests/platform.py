"""The fixture `platform`: one whole running platform a session, with the demo school, on the servers the session is to have.

Everything here is synchronous, so that tests under Playwright's own event loop may use it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from email.message import Message
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from cli import demo_school
from cli.demo.cast import school_day
from cli.running_home import RunningHome
from infra.local.control import ask
from infra.local.databases import address
from infra.local.home import CHECKOUT, Home
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import SUPERUSER
from infra.local.processes import last_line, marked, wait_until, working_in
from infra.local.system import database_name
from tests.provider import CLIENT, SECRET
from tests.servers import SETTINGS, Servers, servers

SCALE = "grades=2,feed=2"
"""Services whose workers share the work in every journey."""
TRACES = "traces.jsonl"
READER_SECONDS = 3.0
"""How long the gateways let a client leave a full buffer unread."""
SILENCE_SECONDS, BEAT_SECONDS = 8.0, 1.0
"""How long the directory may be silent before nothing is sent, and how often it beats."""
START_SECONDS = 240.0
STOP_SECONDS = 90.0
_TOKEN_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody signs in."""

    login: str
    password: str = demo_school.PASSWORD


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API, whatever its status; `body` is read where it is JSON, else text; header names are small."""

    status: int
    body: Any
    headers: Mapping[str, str]
    cookies: str = ""
    """What it set, as a browser would send it."""


@dataclass
class Supervised:
    """The supervisor of a home and all it runs, as `preau up --detach` runs it, with every request traced."""

    home: Home
    provider_port: int
    servers: Servers
    _process: subprocess.Popen[bytes] | None = None
    _port: int = 0

    def start(self) -> None:
        """Start it, at the same address as before, and wait until it is up."""
        self.home.create()
        log = self.home.logs / "supervisor.log"
        with log.open("ab") as output:
            command = [sys.executable, "-P", "-m", "cli", "supervise", f"--port={self._port}", f"--scale={SCALE}"]
            self._process = process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

        def up() -> bool:
            assert process.poll() is None, f"the platform did not start: {last_line(log)}"
            return bool((ask(self.home, "status") or {}).get("up"))

        try:
            wait_until(up, START_SECONDS, "the platform's start", pause=0.2)
        except BaseException as error:
            error.add_note(f"not ready: {self._not_ready()}")
            self.stop()
            raise
        self._port = int(RunningHome.of(self.home).url.rpartition(":")[2])

    def _not_ready(self) -> list[Any]:
        parts = (ask(self.home, "status") or {}).get("parts", [])
        return [part for part in parts if part.get("state") != "ready"]

    def _environment(self) -> dict[str, str]:
        traced = {"PREAU_TRACES": f"file:{self.home.logs / TRACES}", "PREAU_TRACE_RATIO": "1"}
        named = {"PREAU_SIGN_IN_PROVIDERS": json.dumps([_provider(self.provider_port)])}
        # A message whose process was killed is sent again within seconds.
        quick = {"PREAU_SMTP_SECONDS": "2", "PREAU_LEASE_SECONDS": "6"}
        # A client that never reads is cut within seconds.
        quick |= {"PREAU_READER_SECONDS": str(READER_SECONDS)}
        # A directory that is silent for a minute is silent for seconds.
        quick |= {"PREAU_SILENCE_SECONDS": f"{SILENCE_SECONDS}", "PREAU_BEAT_SECONDS": f"{BEAT_SECONDS}"}
        where = {"PREAU_HOME": str(self.home.root), "PYTHONPATH": str(CHECKOUT)}
        # An embedded platform is told of no other servers, whatever the caller's environment says.
        stands_on = {**dict.fromkeys(SETTINGS, ""), **self.servers.settings}
        return {**os.environ, **traced, **named, **quick, **stands_on, **where}

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End all of it at once, as a power cut would."""
        assert self._process is not None
        servers = working_in(self.home.root / "postgres" / "data", "postgres")
        running = [process.pid for process in [*marked(self.home.root), *servers]]
        for pid in [self._process.pid, *running]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Stop it in order."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _provider(port: int) -> dict[str, object]:
    """A provider that a test may start on this port; until then it is away."""
    label = {"fr": "le collège", "en": "the school"}
    issuer = f"http://{LOOPBACK}:{port}"
    return {"name": "school", "label": label, "issuer": issuer, "client_id": CLIENT, "client_secret": SECRET}


@dataclass
class Platform:
    """A running platform with the demo school."""

    home: Home
    base_url: str
    operator_token: str
    provider_port: int
    """Where the platform looks for a provider of OpenID Connect, named `school`; a test may start one there."""
    servers: Servers
    """PostgreSQL and Kafka, for tests that take them away."""
    supervised: Supervised
    """What runs, for whoever kills all of it and starts it again."""
    guardian: Login = Login(demo_school.PARENT.login)
    """Legal guardian of two children."""
    teacher: Login = Login(demo_school.TEACHER.login)
    stranger: Login = Login(demo_school.CONTACT.login)
    """Has an account and no right."""
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def traces(self) -> Path:
        """The file into which every process writes its spans."""
        return self.home.logs / TRACES

    # Its servers

    @property
    def administrator_url(self) -> str:
        """The URL of an administrator of its PostgreSQL."""
        if self.servers.administrator:
            return self.servers.administrator
        password = self.home.database_password(SUPERUSER)
        return address(RunningHome.of(self.home).postgres, SUPERUSER, password, SUPERUSER)

    def database_url(self, service: str) -> str:
        """The URL of a service's database under its own role, past any pooler."""
        return RunningHome.of(self.home).database_url(service)

    def database_name(self, service: str) -> str:
        """The name of a service's database and of the role that owns it."""
        return database_name(service, RunningHome.of(self.home).prefix)

    @property
    def kafka(self) -> str:
        """The bootstrap servers of its Kafka."""
        return RunningHome.of(self.home).kafka

    # Talking to it

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: str | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; `by` is a login or `operator`, `data` a body as it goes on the wire."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if by is not None:
            sent["Authorization"] = f"Bearer {self.token(by)}"
        given = data if data is not None or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, given, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return reply_of(answer.status, answer.read(), answer.headers)
        except HTTPError as error:
            with error:
                return reply_of(error.code, error.read(), error.headers)

    def ok(self, method: str, path: str, body: object = None, *, by: str) -> Any:
        """The body of a request that must succeed."""
        reply = self.call(method, path, body, by=by)
        assert reply.status < 300, f"{method} {path}: {reply.status} {reply.body}"
        return reply.body

    def token(self, login: str) -> str:
        """A token of an account, made by the operator once a session."""
        if login == "operator":
            return self.operator_token
        if login not in self._tokens:
            body = {"account": login, "name": "tests", "expires_in": _TOKEN_SECONDS}
            self._tokens[login] = self.ok("POST", "/v1/tokens", body, by="operator")["token"]
        return self._tokens[login]

    # The guardian's children and their grades

    @cached_property
    def _children(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ok("GET", "/v1/me", by=self.guardian.login)["children"]
        return found

    @property
    def children(self) -> list[str]:
        """Given names of the guardian's children, in the order of `GET /v1/me`."""
        return [child["given_name"] for child in self._children]

    @cached_property
    def groups(self) -> dict[str, dict[str, Any]]:
        """The teacher's groups of mathematics by class name."""
        path = f"/v1/schools/{demo_school.UAI}/groups?teacher=me"
        groups = self.ok("GET", path, by=self.teacher.login)["groups"]
        return {g["name"].partition(" ")[0]: g for g in groups if g["name"].endswith("Mathématiques")}

    def school_day(self) -> date:
        """A day of the current school year's terms: today where it is one."""
        school = self.ok("GET", f"/v1/schools/{demo_school.UAI}", by=self.teacher.login)
        return school_day(school, next(iter(self.groups.values()))["school_year"])

    def assessment(self, group: str, title: str, **more: object) -> str:
        """A published assessment out of 20 in the teacher's group of a class, without marks; returns its id."""
        body = {"group": self.groups[group]["id"], "title": title, "held_on": str(self.school_day()), **more}
        made = self.ok("POST", "/v1/assessments", body, by=self.teacher.login)
        self.ok("POST", f"/v1/assessments/{made['id']}/publication", by=self.teacher.login)
        return str(made["id"])

    def mark(self, assessment: str, marks: list[dict[str, Any]]) -> None:
        """Post marks in one request."""
        self.ok("POST", f"/v1/assessments/{assessment}/marks", {"marks": marks}, by=self.teacher.login)

    def post_grade(self, child: int, *, title: str, score: str, comment: str | None = None) -> str:
        """Mark the guardian's nth child in a new, published assessment; returns its id."""
        assessment = self.assessment(self._children[child]["class_name"], title)
        self.mark(assessment, [{"pupil": self._children[child]["id"], "score": score, "comment": comment}])
        return assessment

    def correct_grade(self, assessment: str, child: int, *, score: str) -> None:
        """Correct that mark."""
        self.mark(assessment, [{"pupil": self._children[child]["id"], "score": score}])

    def withdraw_grade(self, assessment: str, child: int) -> None:
        """Withdraw that mark."""
        path = f"/v1/assessments/{assessment}/marks/{self._children[child]['id']}"
        self.ok("DELETE", path, by=self.teacher.login)

    def new_account(self, person: str | None) -> Login:
        """An account for somebody of the directory."""
        login = Login(f"test-{uuid.uuid4()}")
        body = {"login": login.login, "password": login.password, "person": person}
        self.ok("POST", "/v1/accounts", body, by="operator")
        return login


def reply_of(status: int, content: bytes, headers: Message) -> Reply:
    """An answer as it came."""
    text = content.decode("utf-8", "replace")
    cookies = "; ".join(cookie.partition(";")[0] for cookie in headers.get_all("Set-Cookie", []))
    named = {name.lower(): value for name, value in headers.items()}
    is_json = "json" in named.get("content-type", "")
    return Reply(status, json.loads(text) if is_json and text else text, named, cookies)


_STARTED = pytest.StashKey[Platform]()


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Platform:
    """The session's platform; started by whoever asks first, stopped when the session ends.

    Its home, and so its logs, are left where a test failed.
    """
    stash = request.config.stash
    if _STARTED not in stash:
        # Not in pytest's own folder: another session that begins closes that to PostgreSQL's account.
        folder = Path(tempfile.mkdtemp(prefix="preau-platform-"))
        request.config.add_cleanup(lambda: None if request.session.testsfailed else shutil.rmtree(folder, True))
        home = Home(folder / "home")
        stands_on = servers(request.config.getoption("--backends"), home)
        # Cleanups run in reverse: the platform stops before its servers do.
        request.config.add_cleanup(stands_on.end)
        supervised = Supervised(home, free_port(), stands_on)
        request.config.add_cleanup(supervised.stop)
        supervised.start()
        running = RunningHome.of(home)
        stash[_STARTED] = Platform(
            home, running.url, running.operator_token(), supervised.provider_port, stands_on, supervised
        )
    return stash[_STARTED]
