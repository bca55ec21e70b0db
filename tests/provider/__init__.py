"""An OpenID Connect provider for tests: Authlib's authorization server, as a process of its own.

What is told at `/test` makes it misbehave: `rotate` signs with another key, a `mode` spoils what it says from now on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.error import URLError

from infra.local.processes import wait_until

CLIENT, SECRET = "preau", "a client's secret"
PASSWORD = "correct horse battery"


@dataclass
class ProviderProcess:
    """A provider on a port, whose people are whoever types the password."""

    port: int
    callbacks: Sequence[str]
    back: str
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        told = json.dumps({"port": self.port, "callbacks": list(self.callbacks), "back": self.back})
        command = [sys.executable, "-W", "ignore", "-m", "tests.provider.serve", told]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._answers, 30, "the provider's start", pause=0.05)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the provider did not start"
        try:
            urllib.request.urlopen(f"{self.issuer}/jwks.json", timeout=2).close()
        except URLError:
            return False
        return True

    def tell(self, **what: object) -> dict[str, str]:
        """Have it misbehave or rotate, or sign something; returns what it says."""
        request = urllib.request.Request(
            f"{self.issuer}/test", json.dumps(what).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, str] = json.load(answer)
            return found

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
