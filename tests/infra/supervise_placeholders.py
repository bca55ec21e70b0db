"""A supervisor over two placeholder parts, one of which needs the other; the needed one may be a server elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from infra.local.home import Home
from infra.local.parts import Elsewhere, Part, get, lag_of
from infra.local.processes import plain_environment
from infra.local.supervisor import Supervisor

PLACEHOLDER = """
import http.server, os, sys
if os.path.exists(sys.argv[2]):
    print("no luck today", flush=True)
    sys.exit(9)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"preau_consumer_lag 7")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def placeholder(home: Home, name: str, port: int, needs: tuple[str, ...] = ()) -> Part:
    return Part(
        name=name,
        command=lambda: [sys.executable, "-c", PLACEHOLDER, str(port), str(home.root / f"{name}.fails")],
        environment=plain_environment(),
        ready=lambda: get(port, "/")[0] == 200,
        live=lambda: get(port, "/")[0] == 200,
        lag=lambda: lag_of(get(port, "/")[1]),
        needs=needs,
    )


def elsewhere(port: int, set_up: Path) -> Elsewhere:
    return Elsewhere("base", f"127.0.0.1:{port}", lambda: get(port, "/")[0] == 200, set_up.touch)


async def main() -> None:
    home, ports = Home(Path(sys.argv[1])), json.loads(sys.argv[2])
    there = ports.get("elsewhere")
    base = elsewhere(there, home.root / "set-up") if there else placeholder(home, "base", ports["base"])
    parts = [base, placeholder(home, "top", ports["top"], ("base",))]
    await Supervisor(home, parts, after=lambda: ["sign in as nobody"]).run()


if __name__ == "__main__":
    hold = Home(Path(sys.argv[1])).take()
    asyncio.run(main())
    hold.release()
