"""The same rooms in each service, and a chassis that several stand on: what differs stands here, with its reason."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.local.home import CHECKOUT

SERVICES = {path.parent.name: path.parent for path in (CHECKOUT / "services").glob("*/app.py")}
ROOMS = {"app", "settings", "api", "schemas", "consumers", "usecases", "domain", "store", "migrations"}
"""What who knows one service looks for in every other."""
_BODIES = "the few bodies stand beside their endpoints, in `api`"
_NO_EVENTS = "decides on the roster alone, which hears the directory by itself"
_READER = "a client of the public API: it decides nothing and keeps nothing"
LACKS: Mapping[str, Mapping[str, str]] = {
    "directory": {"consumers": "is the first in the flow: it hears no events"},
    "grades": {"consumers": _NO_EVENTS},
    "feed": {"schemas": _BODIES},
    "notify": {"schemas": _BODIES},
    "gateway": {
        "consumers": "every process reads all of a topic and keeps none of it: `stream` tails",
    },
    "portal": {
        "schemas": "its forms have a field or two; what it reads of others stands in `answers`",
        "consumers": "hears the stream in the browser",
        **dict.fromkeys(("usecases", "domain", "store", "migrations"), _READER),
    },
}
BESIDE: Mapping[str, Mapping[str, str]] = {
    "directory": {
        "beat": "says that the directory lives, without any request or event",
        "documents": "how the rows of the truth become what others replicate",
        "ordering": "the one order of a document's parts, for whoever makes or compares one",
        "importing": "sets from other programs, merged with what stands",
    },
    "grades": {
        "averages": "the arithmetic of averages, apart from the rules of who may know what",
        "events": "from changes to the contract's events",
    },
    "feed": {
        "lines": "consumers come and go with the generations that are kept",
        "rebuild": "a generation built beside the one that serves",
        "lineage": "where a lost or older database takes up",
        "facts": "domains' facts as they are read here: what a class's have in common once for all",
    },
    "notify": {
        "channels": "a file for each way to reach people",
        "letters": "what all channels are given",
        "words": "what messages say, in two languages",
        "worker": "the courier, which works without request or event",
    },
    "gateway": {
        "front": "what the routes of accounts, sign-in and activation share",
        "activation": "codes on paper: endpoints, rules and statements of one concept",
        "openid": "sign-in with providers: endpoints, client and statements of one concept",
        "stream": "the live stream, which no other service has",
        "authentication": "who presents which session or token",
        "gathering": "look-ups of many requests in one statement",
        "attempts": "guessing made slow",
        "passwords": "argon2 in threads",
        "seals": "what browsers and paper keep for us",
        "browsers": "cookies",
        "limits": "every request is counted",
        "limiter": "the arithmetic of the count",
        "headers": "what every answer carries",
        "routing": "which service answers which path",
        "proxy": "the way through",
        "upstream": "calls inward",
        "inward": "the sockets of those calls",
        "history": "feed's history for the stream",
        "openapi": "one description for all services",
    },
    "portal": {
        "answers": "what the public API answers, as far as it is read",
        "client": "the public API, with the visitor's own session",
        "pages": "rendering, and what every page carries",
        "templates": "the markup",
        "static": "what the browser runs and shows",
        "words": "every text, in two languages",
        "views": "what was answered, arranged for the news",
        "gradebook": "and for grades",
        "preferences": "and for what one is told of",
        "plot": "the drawing of an average",
    },
}
ONE_USER = {
    "dealing": "feed alone has a process with more to do than its others; nothing in it is of the feed",
    "dead_letters": "the command line's `dlq`, for the parked keys of every consumer",
    "forwarding": "feed alone turns one topic into another; order, repeats and parking are the inbox's, without a database",
    "groups": "feed alone begins and ends groups, and asks how far they are behind",
    "headers": "answers of the portal and of the embedded mailbox, which is no service",
    "relay_app": "a process of its own, started by its name",
    "timers": "grades alone has due times; their table is one of the chassis', and nothing in it is of grades",
}
"""Modules that fewer than two services use, and no other module of the chassis."""


def rooms(folder: Path) -> set[str]:
    """What stands in a service's folder: modules by their names, folders that have anything in them."""
    folders = {
        path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("*.*")) and path.name[0] != "_"
    }
    return folders | {path.stem for path in folder.glob("*.py") if path.name != "__init__.py"}


def test_every_service_is_spoken_of() -> None:
    assert LACKS.keys() == BESIDE.keys() == SERVICES.keys()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_has_the_rooms_of_all_but_those_named_here(service: str) -> None:
    lacking, beside = LACKS[service].keys(), BESIDE[service].keys()
    assert lacking <= ROOMS
    assert beside.isdisjoint(ROOMS)
    assert rooms(SERVICES[service]) == (ROOMS - lacking) | beside


def imported(path: Path) -> Iterator[str]:
    """Modules of the chassis that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "chassis":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chassis."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("chassis."))


def test_a_module_of_the_chassis_serves_several_or_says_why_not() -> None:
    services, own = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for name, folder in SERVICES.items():
        for path in folder.rglob("*.py"):
            for module in imported(path):
                services[module].add(name)
    modules = {path.stem: path for path in (CHECKOUT / "chassis").glob("*.py") if path.name != "__init__.py"}
    for name, path in modules.items():
        for module in imported(path):
            own[module].add(name)
    few = {name for name in modules if len(services[name]) < 2 and not own[name] - {name}}
    assert few == ONE_USER.keys()
