"""The command line: where every command is registered."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

LIFECYCLE = ("up", "down", "status", "restart", "reset", "run", "supervise")

# The module of each command. A module adds its commands by `register(app)`, or is a group of commands named `app`.
COMMANDS = {
    **dict.fromkeys(LIFECYCLE, "cli.lifecycle"),
    **dict.fromkeys(("prepare", "operator-token"), "cli.preparing"),
    "test": "cli.testing",
    "token": "cli.tokens",
    "activation-code": "cli.activation",
    "import": "cli.importing",
    "audit": "cli.audit",
    "demo": "cli.demo",
    "topics": "cli.topics",
    "dlq": "cli.dlq",
    "doctor": "cli.doctor",
    "generate": "cli.generating",
    "rebuild": "cli.rebuild",
    "bench": "cli.bench",
}


def build(asked: str | None) -> typer.Typer:
    """The command line; only the module of the command that is asked for is loaded, all of them for the help."""
    line = typer.Typer(
        name="preau",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    line.callback(help="The event backbone and the parents' portal of a county's middle schools.")(_keep_commands_named)
    chosen = {asked: COMMANDS[asked]} if asked in COMMANDS else COMMANDS
    for module, command in {module: command for command, module in chosen.items()}.items():
        _add(line, module, command)
    return line


def _keep_commands_named() -> None:
    """Keeps commands named even while one alone is registered."""


def _add(line: typer.Typer, module: str, command: str) -> None:
    if importlib.util.find_spec(module) is None:
        return
    loaded = importlib.import_module(module)
    if hasattr(loaded, "register"):
        loaded.register(line)
    else:
        line.add_typer(loaded.app, name=command)


def main() -> None:
    """Run the command line."""
    build(sys.argv[1] if len(sys.argv) > 1 else None)()
