"""The audit of the locks, asked of a server that speaks OSV's API: what it finds, what it pages, and what it says in vain."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.local.home import CHECKOUT
from infra.local.jars import locked_jars
from infra.local.ports import LOOPBACK, free_port

Name = tuple[str, str, str]


@dataclass
class Advisories:
    """What the server knows: advisories by ecosystem, name and version, one a page; and what it was asked."""

    url: str = ""
    known: dict[Name, list[str]] = field(default_factory=dict)
    asked: list[Name] = field(default_factory=list)
    status: int = 200

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        name = (query["package"]["ecosystem"], query["package"]["name"], query["version"])
        self.asked.append(name)
        at = int(query.get("page_token", 0))
        found = self.known.get(name, [])
        more = {"next_page_token": str(at + 1)} if at + 1 < len(found) else {}
        return {"vulns": [{"id": found[at]}], **more} if found else {}


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    """A running server."""
    found = Advisories()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            assert self.path == "/v1/querybatch"
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(json.dumps({"results": [found.answer(one) for one in queries]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    found.url = f"http://{LOOPBACK}:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def audit(url: str) -> tuple[int, str]:
    """How the audit ends, and what it says."""
    command = [sys.executable, str(CHECKOUT / ".ci" / "audit-dependencies"), "--source", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout


def test_every_package_and_jar_of_the_locks_is_asked_for(advisories: Advisories) -> None:
    code, said = audit(advisories.url)
    python = {line.split()[0] for line in (CHECKOUT / "requirements.lock").read_text().splitlines() if "==" in line}
    jars = {("Maven", f"{jar.group}:{jar.artifact}", jar.version) for jar in locked_jars()}
    assert {one for one in advisories.asked if one[0] == "Maven"} == jars
    assert {f"{name}=={version}" for kind, name, version in advisories.asked if kind == "PyPI"} == python
    assert code == 0, said
    assert f"{len(python)} packages and {len(jars)} jars audited" in said


def test_what_is_known_is_told_and_is_a_failure(advisories: Advisories) -> None:
    audit(advisories.url)
    package, jar = advisories.asked[0], advisories.asked[-1]
    advisories.known = {package: ["GHSA-1", "GHSA-2"], jar: ["GHSA-3"]}
    code, said = audit(advisories.url)
    assert code == 1
    assert f"{package[1]} {package[2]}: GHSA-1, GHSA-2\n" in said
    assert f"{jar[1]} {jar[2]}: GHSA-3\n" in said


def test_where_no_advisories_can_be_had_that_is_said(advisories: Advisories) -> None:
    advisories.status = 503
    for url in (advisories.url, f"http://{LOOPBACK}:{free_port()}"):
        code, said = audit(url)
        assert code == 2
        assert "neither Python's packages nor Kafka's jars were audited" in said
