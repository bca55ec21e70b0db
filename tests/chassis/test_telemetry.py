"""Telemetry: every series of a gauge is shown, and a log line tells no more than it may."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.telemetry import _JsonFormatter

_PROGRAM = """
from chassis import telemetry
from chassis.settings import ProcessSettings
from prometheus_client import generate_latest
telemetry.setup("test", ProcessSettings())
for number, name in enumerate(("one", "two", "three")):
    telemetry.gauge("preau_test", "A test", lambda number=number: number, consumer=name)
print(generate_latest().decode())
"""


def test_every_consumer_has_its_own_series() -> None:
    result = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    series = [line for line in result.stdout.splitlines() if line.startswith("preau_test{")]
    assert [line.rpartition(" ")[2] for line in series] == ["0.0", "1.0", "2.0"]


_TRACED = """
import sys
from chassis import telemetry
from chassis.settings import ProcessSettings
telemetry.setup("test", ProcessSettings(traces=sys.argv[1], trace_ratio=1))
with telemetry.span("alone") as alone:
    print(telemetry.current_traceparent() is not None, alone.is_recording())
with telemetry.span("told", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"):
    with telemetry.span("within"):
        print((telemetry.current_traceparent() or "")[3:35] == "1" * 32)
"""


@pytest.mark.parametrize(("traces", "recorded"), [("", False), ("file:spans.json", True)])
def test_a_trace_that_came_goes_on_where_spans_go_nowhere(tmp_path: Path, traces: str, recorded: bool) -> None:
    command = [sys.executable, "-c", _TRACED, traces]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env=environment
    )
    assert result.stdout.split() == [str(recorded), str(recorded), "True"]


def test_an_exceptions_words_are_not_logged() -> None:
    try:
        raise ValueError("Zoé Lefèvre, 06 12 34 56 78")
    except ValueError:
        record = logging.LogRecord("t", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    line = json.loads(_JsonFormatter().format(record))
    assert line["error"].startswith("ValueError at test_telemetry.py:")
    assert "Zoé" not in json.dumps(line, ensure_ascii=False)
