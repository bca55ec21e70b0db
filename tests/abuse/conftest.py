"""Abuse goes over the whole running platform; what its tests share is the scene and the way to ask around the gateway."""

from __future__ import annotations

import json

import psutil
import pytest

from infra.local.control import ask
from tests.abuse.scene import Scene, made_scene
from tests.browser.conftest import browser, context
from tests.platform import Platform

__all__ = ["browser", "context"]

_SCENE = pytest.StashKey[Scene]()


@pytest.fixture
def scene(platform: Platform, request: pytest.FixtureRequest) -> Scene:
    """The session's scene; made by whoever asks first."""
    stash = request.config.stash
    if _SCENE not in stash:
        stash[_SCENE] = made_scene(platform)
    return stash[_SCENE]


@pytest.fixture
def services(platform: Platform) -> dict[str, str]:
    """Base URL of each service behind the gateway, as the gateway is told."""
    parts = (ask(platform.home, "status") or {})["parts"]
    gateway = next(part for part in parts if part["part"].startswith("gateway"))
    found: dict[str, str] = json.loads(psutil.Process(gateway["pid"]).environ()["PREAU_SERVICES"])
    return found
