"""What the demo makes of e-mails: what each told, and every broken promise found where it is planted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.demo.checker import Fault, Ledger, Right, Seen, Write
from cli.demo.mails import Mail, judge, seen, without_repeats

PUPILS = {"Léa": "p1"}
SCOPE, KEY = "guardians:pupils/p1", "Calcul (run) | pupils/p1"
READERS = ("Claire",)
TEXT = "Bonjour,\n\nLéa a une nouvelle note en Mathématiques\u202f: {}.\n\nCalcul (run) · coefficient 1\n\nVoir"


def mail(said: str, at: float, id: str) -> Mail:
    return Mail("claire@exemple.invalid", f"Léa · Mathématiques\u202f: {said}", TEXT.format(said), id, at)


def told(said: str, at: float, id: str) -> Seen:
    return seen(mail(said, at, id), "Claire", PUPILS)


def ledger(*states: str | None, withdrawn: float | None = None, granted: float = 0.0) -> Ledger:
    writes = [
        Write(KEY, "pupils/p1", state, n * 10.0, n * 10.0 + 1, {"guardians": None}) for n, state in enumerate(states, 1)
    ]
    return Ledger(writes, [Right("Claire", SCOPE, granted, withdrawn)], "(run)")


@pytest.mark.parametrize(
    ("said", "state"), [("14,5/20", "14,5/20"), ("note corrigée, 12/20", "12/20"), ("note retirée", None)]
)
def test_an_email_tells_a_state_of_a_grade(said: str, state: str | None) -> None:
    found = told(said, 12.0, "<1>")
    assert (found.reader, found.key, found.scope, found.state, found.cursor) == ("Claire", KEY, SCOPE, state, "<1>")


def test_a_first_mark_and_its_correction_are_as_they_should_be() -> None:
    two = [told("9/20", 12.0, "<1>"), told("note corrigée, 12/20", 22.0, "<2>")]
    verdict = judge(ledger("9/20", "12/20"), two, 30.0, READERS)
    assert (verdict.clean, verdict.delivered) == (True, 2)


def test_a_correction_may_take_the_place_of_what_was_not_sent() -> None:
    assert judge(ledger("9/20", "12/20"), [told("12/20", 22.0, "<1>")], 30.0, READERS).clean


@pytest.mark.parametrize(
    ("ledger_of", "mails", "fault"),
    [
        (ledger("9/20"), [], Fault.LOST),
        (ledger("9/20", "12/20"), [told("9/20", 12.0, "<1>")], Fault.LOST),
        (ledger("9/20"), [told("9/20", 12.0, "<1>"), told("9/20", 13.0, "<1>")], Fault.DOUBLED),
        (ledger("9/20"), [told("9/20", 12.0, "<1>"), told("9/20", 13.0, "<2>")], Fault.DOUBLED),
        (ledger("9/20", withdrawn=5.0), [told("9/20", 12.0, "<1>")], Fault.MISDELIVERED),
        (ledger("9/20"), [told("8/20", 12.0, "<1>"), told("9/20", 13.0, "<2>")], Fault.INVENTED),
        (
            ledger("9/20", "12/20"),
            [told("12/20", 22.0, "<1>"), told("note corrigée, 9/20", 23.0, "<2>"), told("12/20", 24.0, "<3>")],
            Fault.DISORDERED,
        ),
    ],
)
def test_each_broken_promise_is_found(ledger_of: Ledger, mails: list[Seen], fault: Fault) -> None:
    assert fault in {finding.fault for finding in judge(ledger_of, mails, 30.0, READERS).findings}


def test_what_was_written_before_a_right_is_owed_by_no_email() -> None:
    assert judge(ledger("9/20", granted=15.0), [], 30.0, READERS).clean
    late = ledger("9/20", granted=5.0)
    assert not judge(late, [], 30.0, READERS).clean
    late.rights = [replace(right, known=15.0) for right in late.rights]
    assert judge(late, [], 30.0, READERS).clean


def test_a_message_sent_once_more_is_one_message() -> None:
    first = told("9/20", 12.0, "<1>")
    assert without_repeats([first, replace(first, at=14.0), told("12/20", 22.0, "<2>")]) == [
        first,
        told("12/20", 22.0, "<2>"),
    ]
