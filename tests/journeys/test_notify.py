"""From a teacher's mark to the message a guardian was sent, by what the public API says of it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.processes import wait_until
from tests.platform import Platform


def messages(platform: Platform, login: str) -> list[dict[str, Any]]:
    """What was or is to be sent to somebody, newest first."""
    found: list[dict[str, Any]] = platform.ok("GET", "/v1/me/messages", by=login)["messages"]
    return found


@pytest.fixture
def by_mail(platform: Platform) -> Any:
    """The guardian reads English mail for the length of a test."""
    chosen = platform.ok("GET", "/v1/me/notifications", by=platform.guardian.login)
    del chosen["email"]["address"]
    yield platform.ok("PUT", "/v1/me/notifications", {**chosen, "language": "en"}, by=platform.guardian.login)
    platform.ok("PUT", "/v1/me/notifications", chosen, by=platform.guardian.login)


def test_a_grade_is_queued_for_its_guardians_and_nobody_else(platform: Platform, by_mail: dict[str, Any]) -> None:
    assert by_mail["language"] == "en"
    assert "…@" in by_mail["email"]["address"]
    before = {one["id"] for one in messages(platform, platform.guardian.login)}
    platform.post_grade(0, title="Pour le courrier", score="13")

    def fresh() -> list[dict[str, Any]]:
        return [one for one in messages(platform, platform.guardian.login) if one["id"] not in before]

    wait_until(lambda: any(one["attempts"] for one in fresh()), 20, "a message to the guardian")
    (message,) = fresh()
    assert (message["category"], message["channel"], message["says"]) == ("grades", "email", "new")
    assert message["state"] in ("queued", "sending", "sent")
    assert messages(platform, platform.stranger.login) == []
