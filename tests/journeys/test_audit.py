"""The audit trail of a school as operators and heads ask for it, whichever service and worker wrote it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from cli.demo_school import HEAD, PUPIL, UAI
from infra.local.home import CHECKOUT
from tests.platform import Platform


def audit(platform: Platform, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "audit", f"--school={UAI}", *options]
    environment = {**os.environ, "PREAU_HOME": str(platform.home.root)}
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def entries(platform: Platform, *options: str) -> list[dict[str, Any]]:
    done = audit(platform, "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_operators_see_what_was_read_and_refused_in_every_service(platform: Platform) -> None:
    stranger = platform.ok("GET", "/v1/me", by=platform.stranger.login)["person"]["id"]
    for path in (f"/v1/feed?child={PUPIL.id}", f"/v1/pupils/{PUPIL.id}/grades", f"/v1/people/{PUPIL.id}"):
        assert platform.call("GET", path, by=platform.stranger.login).status == 404
    platform.ok("GET", f"/v1/pupils/{PUPIL.id}/grades", by=HEAD.login)
    refused = entries(platform, f"--person={stranger}", "--outcome=refused", "--limit=3")
    assert [(e["service"], e["action"]) for e in refused] == [
        ("directory", "people.read"),
        ("grades", "grades.read"),
        ("feed", "feed.read"),
    ]
    about = entries(platform, f"--person={PUPIL.id}", "--service=grades", "--action=grades.read", "--limit=1")
    assert (about[0]["caller"], about[0]["object"]) == (f"people/{HEAD.id}", f"pupils/{PUPIL.id}")
    assert "feed.read" in audit(platform, "--service=feed", "--limit=1").stdout


def test_a_head_reads_the_trail_of_the_feed_and_others_do_not(platform: Platform) -> None:
    path = f"/v1/schools/{UAI}/audit?service=feed&limit=1"
    assert platform.call("GET", path, by=HEAD.login).status == 200
    assert platform.call("GET", path, by=platform.teacher.login).status == 404
    first = platform.ok("GET", path, by=HEAD.login)
    # What the teacher was refused is written down as well.
    assert first["entries"][0]["action"] == "audit.read"
    after = platform.ok("GET", f"{path}&before={first['next']}", by=HEAD.login)
    assert after["entries"] != first["entries"]
    assert platform.call("GET", f"{path}&since=yesterday", by=HEAD.login).status == 422
