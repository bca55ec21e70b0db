"""What `preau import` prints and answers with."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.importing import app, exit_code, limits_of, print_report
from services.directory.importing.package import Limits
from services.directory.importing.report import Detaching, Report


def stopped() -> Report:
    report = Report(detaching=[Detaching("0921234S", "pupil", 88, 108, refused=True)])
    report.refuse("detaches-too-many", "", field="0921234S pupil")
    return report


def test_the_safety_stop_shows_its_figures_and_how_to_go_on() -> None:
    out = io.StringIO()
    print_report(stopped(), Console(file=out, width=120))
    assert "0921234S: 88 of 108 would lose their place (pupil), 81%" in out.getvalue()
    assert "--confirm-detach" in out.getvalue()
    assert stopped().as_dict()["needs_confirmation"] is True


def test_exit_codes_tell_a_stop_from_a_refusal() -> None:
    refused = Report()
    refused.refuse("file-missing", "users.csv")
    assert [exit_code(one) for one in (Report(), refused, stopped())] == [0, 1, 3]


def test_limits_are_named() -> None:
    assert limits_of(["entries=7", "line=100"]) == Limits(entries=7, line=100)
    for wrong in ("entries", "entries=-1", "entries=0", "size=3"):
        with pytest.raises(ValueError, match="not a limit"):
            limits_of([wrong])


def test_a_wrong_limit_is_an_error_of_usage() -> None:
    given = ["oneroster", "set.zip", "--database-url", "postgresql://nowhere", "--limit", "x=1"]
    assert CliRunner().invoke(app, given).exit_code == 2
