"""What a person is told of and was sent, in plain words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.portal import preferences
from services.portal.answers import MessagesPage, Preferences
from services.portal.client import Me
from services.portal.preferences import MessageView
from services.portal.words import FR

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
LEA = {"id": str(UUID(int=1)), "given_name": "Léa", "family_name": "M", "uai": "0921234S", "school_name": "C"}
CHOSEN: dict[str, Any] = {
    "language": "en",
    "email": {"enabled": False, "address": "m…@exemple.fr"},
    "categories": {"grades": True, "absences": False, "homework": True, "news": True},
}


def message(**changes: Any) -> MessageView:
    one = {"fact": str(UUID(int=5)), "pupil": LEA["id"], "category": "grades", "channel": "email", "attempts": 1}
    one |= {"state": "sent", "says": "new", "queued_at": NOON.isoformat(), "settled_at": NOON.isoformat()}
    page = MessagesPage.model_validate_json(json.dumps({"messages": [one | changes]}))
    me = Me.model_validate_json(json.dumps({"children": [LEA]}))
    shown = preferences.notifications(me, None, page, FR, NOON + timedelta(minutes=5)).messages
    assert shown is not None
    return shown[0]


def test_the_form_stands_as_chosen() -> None:
    form = preferences.notifications(Me(), Preferences.model_validate(CHOSEN), None, FR, NOON).form
    assert form is not None
    assert [(one.name, one.current) for one in form.languages] == [("fr", False), ("en", True)]
    assert [one.name for one in form.categories if not one.chosen] == ["absences"]
    assert (form.email, form.address) == (False, "À l’adresse m…@exemple.fr")


def test_without_answers_there_is_no_form_and_no_list() -> None:
    view = preferences.notifications(Me(), None, None, FR, NOON)
    assert (view.form, view.messages) == (None, None)


@pytest.mark.parametrize(
    ("changes", "told", "when", "details"),
    [
        ({}, "Envoyé", "il y a 5\u00a0min", "e-mail · nouveauté"),
        ({"state": "failed", "attempts": 3}, "Non remis", "il y a 5\u00a0min", "e-mail · nouveauté · 3\u00a0essais"),
        (
            {"state": "queued", "settled_at": None, "says": None, "due_at": "2026-11-24T06:00:00Z"},
            "En attente d’envoi",
            "prévu le 24 novembre à 7\u00a0h\u00a000",
            "e-mail",
        ),
        ({"state": "of_the_future"}, "of_the_future", "il y a 5\u00a0min", "e-mail · nouveauté"),
    ],
)
def test_a_message_says_how_it_stands(changes: dict[str, Any], told: str, when: str, details: str) -> None:
    shown = message(**changes)
    assert (shown.told, shown.when, shown.details) == (told, when, details)
    assert (shown.what, shown.about) == ("Note", "Léa")
