"""The checker finds planted faults of each kind, and nothing where all went well."""

from __future__ import annotations

from dataclasses import replace

from cli.demo.checker import Fault, Kind, Ledger, Right, Seen, Write

PUPILS, GUARDIANS = "pupils:pupils/lea", "guardians:pupils/lea"
DUE = 100.0
RIGHTS = [Right("Léa", PUPILS), Right("Amélie", GUARDIANS)]


def write(state: str | None, at: float, due: dict[str, float | None] | None = None) -> Write:
    return Write("fractions", "pupils/lea", state, at, at + 0.1, due or {"pupils": None, "guardians": None})


def live(reader: str, scope: str, state: str | None, at: float) -> Seen:
    return Seen(reader, at, Kind.LIVE, "fractions", scope, state, f"{reader}@{at}")


FIRST, SECOND = write("9/20", 10), write("12/20", 20)
ALL = [
    live("Léa", PUPILS, "9/20", 11),
    live("Amélie", GUARDIANS, "9/20", 11),
    live("Léa", PUPILS, "12/20", 21),
    live("Amélie", GUARDIANS, "12/20", 21),
]


def faults(seen: list[Seen], writes: list[Write] | None = None, rights: list[Right] | None = None) -> list[Fault]:
    ledger = Ledger(writes or [FIRST, SECOND], rights or RIGHTS, ours="fractions")
    return [finding.fault for finding in ledger.judge(seen, until=200).findings]


def stream_faults(seen: list[Seen], writes: list[Write]) -> list[Fault]:
    verdict = Ledger(writes, [RIGHTS[1]], ours="fractions").judge(seen, until=200, every_state=True)
    return [finding.fault for finding in verdict.findings]


def test_nothing_is_found_where_all_went_well() -> None:
    verdict = Ledger([FIRST, SECOND], list(RIGHTS)).judge(ALL, until=200)
    assert verdict.clean
    assert verdict.delivered == 4
    assert set(verdict.counts().values()) == {0}


def test_a_state_that_never_came_is_lost() -> None:
    assert faults(ALL[:3]) == [Fault.LOST]
    assert faults([]) == [Fault.LOST, Fault.LOST]


def test_a_withdrawal_that_never_came_is_lost_and_one_of_what_was_never_seen_is_not() -> None:
    withdrawn = [FIRST, replace(SECOND, state=None)]
    assert faults(ALL[:2], withdrawn) == [Fault.LOST, Fault.LOST]
    assert faults([], withdrawn) == []
    assert faults([*ALL[:2], live("Léa", PUPILS, None, 21), live("Amélie", GUARDIANS, None, 21)], withdrawn) == []


def test_the_same_state_twice_is_doubled() -> None:
    assert faults([*ALL, live("Amélie", GUARDIANS, "12/20", 22)]) == [Fault.DOUBLED]


def test_the_same_cursor_twice_is_doubled() -> None:
    assert faults([ALL[0], replace(ALL[2], cursor=ALL[0].cursor), *ALL]).count(Fault.DOUBLED) >= 1


def test_a_page_after_a_fresh_start_says_again_what_was_known() -> None:
    fresh = Seen("Amélie", 30, Kind.FRESH)
    assert faults([*ALL, fresh, replace(ALL[3], kind=Kind.PAGE, cursor="", at=30)]) == []
    assert faults([*ALL, fresh]) == [Fault.LOST]


def test_an_older_state_after_a_newer_one_is_out_of_order() -> None:
    swapped = [ALL[0], ALL[2], live("Amélie", GUARDIANS, "12/20", 21), live("Amélie", GUARDIANS, "9/20", 22)]
    assert faults(swapped) == [Fault.DISORDERED]


def test_a_state_that_comes_back_is_in_order() -> None:
    again = [FIRST, SECOND, write("9/20", 30)]
    back = [live("Léa", PUPILS, "9/20", 31), live("Amélie", GUARDIANS, "9/20", 31)]
    assert faults([*ALL, *back], again) == []
    assert faults([*ALL, back[0]], again) == [Fault.LOST]


def test_what_a_reader_has_no_right_to_is_misdelivered() -> None:
    assert faults([*ALL, live("Zélie", GUARDIANS, "12/20", 21)]) == [Fault.MISDELIVERED]
    assert faults([*ALL, live("Amélie", PUPILS, "12/20", 21)]) == [Fault.MISDELIVERED]


def test_what_comes_a_second_after_a_withdrawn_right_is_misdelivered() -> None:
    rights = [RIGHTS[0], Right("Amélie", GUARDIANS, withdrawn=15)]
    assert faults(ALL[:3], rights=rights) == []
    assert faults(ALL, rights=rights) == [Fault.MISDELIVERED]
    soon = replace(SECOND, begun=15)
    assert faults([*ALL[:3], live("Amélie", GUARDIANS, "12/20", 15.9)], [FIRST, soon], rights) == []
    assert faults([*ALL[:3], live("Amélie", GUARDIANS, "12/20", 16.1)], [FIRST, soon], rights) == [Fault.MISDELIVERED]


def test_a_right_granted_again_owes_all_there_is() -> None:
    rights = [RIGHTS[0], Right("Amélie", GUARDIANS, withdrawn=15), Right("Amélie", GUARDIANS, granted=40)]
    assert faults(ALL[:3], rights=rights) == [Fault.LOST]
    page = Seen("Amélie", 41, Kind.PAGE, "fractions", GUARDIANS, "12/20")
    assert faults([*ALL[:3], Seen("Amélie", 41, Kind.FRESH), page], rights=rights) == []


def test_what_comes_before_it_is_due_is_too_early() -> None:
    due = [write("9/20", 10, {"pupils": None, "guardians": DUE})]
    assert faults([ALL[0], live("Amélie", GUARDIANS, "9/20", DUE - 0.01)], due) == [Fault.EARLY]
    assert faults([ALL[0], live("Amélie", GUARDIANS, "9/20", DUE)], due) == []
    assert faults([ALL[0]], due) == [Fault.LOST]


def test_what_is_not_due_yet_is_not_owed_yet() -> None:
    due = [write("9/20", 10, {"pupils": None, "guardians": 500.0})]
    assert faults([ALL[0]], due) == []


def test_what_is_not_meant_for_an_audience_at_all_is_too_early() -> None:
    assert faults([ALL[0], ALL[1]], [write("9/20", 10, {"pupils": None})]) == [Fault.EARLY]


def test_what_nobody_wrote_is_invented() -> None:
    assert faults([*ALL, live("Amélie", GUARDIANS, "20/20", 22)]) == [Fault.INVENTED]
    assert faults([*ALL, replace(ALL[0], key="more fractions", cursor="x")]) == [Fault.INVENTED]
    assert faults([*ALL, replace(ALL[0], key="of another run", cursor="x")]) == []


def test_what_comes_before_it_was_asked_for_is_invented() -> None:
    assert faults([live("Léa", PUPILS, "12/20", 12), *ALL])[0] == Fault.INVENTED


def test_a_write_nobody_knows_of_may_or_may_not_be_seen() -> None:
    writes = [FIRST, replace(SECOND, acknowledged=None)]
    assert faults(ALL, writes) == []
    assert faults(ALL[:2], writes) == []
    assert faults([ALL[0]], writes) == [Fault.LOST]


FOUR = [write(f"{n}/20", 10.0 * n) for n in (1, 2, 3, 4)]
"""A mark and three corrections."""


def said(*states: int | None, kind: Kind = Kind.LIVE) -> list[Seen]:
    """What a guardian's stream says of the four, each a second after it was written."""
    return [replace(live("Amélie", GUARDIANS, f"{n}/20", 10.0 * n + 1), kind=kind) for n in states if n]


def test_a_state_that_a_stream_passes_over_is_lost() -> None:
    assert stream_faults(said(1, 2, 3, 4), FOUR) == []
    assert stream_faults(said(1, 3, 4), FOUR) == [Fault.LOST]
    assert stream_faults(said(4), FOUR) == [Fault.LOST] * 3
    assert stream_faults(said(1, 2), FOUR) == [Fault.LOST] * 2
    # E-mails and pages may tell the newest alone.
    assert faults(said(1, 3, 4), FOUR, [RIGHTS[1]]) == []


def test_what_a_stream_passed_over_and_says_late_is_out_of_order_and_not_lost() -> None:
    one, two, three, four = said(1, 2, 3, 4)
    assert stream_faults([one, three, replace(two, at=31.5), four], FOUR) == [Fault.DISORDERED]


def test_only_what_may_still_come_is_awaited() -> None:
    def awaited(seen: list[Seen]) -> int:
        verdict = Ledger(FOUR, [RIGHTS[1]]).judge(seen, until=200, every_state=True)
        return sum(finding.awaited for finding in verdict.findings)

    assert awaited(said(1, 3, 4)) == 0
    assert awaited(said(1, 3)) == 1


def test_a_page_says_the_newest_state_alone_and_the_stream_each_that_follows() -> None:
    fresh = Seen("Amélie", 31.5, Kind.FRESH)
    page = replace(said(3)[0], kind=Kind.PAGE, at=31.5, cursor="")
    assert stream_faults([fresh, page, *said(4)], FOUR) == []
    assert stream_faults([*said(1), fresh, page, *said(4)], FOUR) == []
    assert stream_faults([replace(fresh, at=15), replace(said(1)[0], kind=Kind.PAGE), *said(3, 4)], FOUR) == [
        Fault.LOST
    ]
    # Too old for the first page: the stream says what is written from then on.
    assert stream_faults([fresh, *said(4)], FOUR) == []


def test_who_was_away_for_longer_than_the_ring_gets_the_newest_state_of_the_history() -> None:
    away = Seen("Amélie", 31, Kind.AWAY)
    assert stream_faults([*said(1), away, *said(3, 4)], FOUR) == []
    assert stream_faults([*said(1), replace(away, at=15), *said(3, 4)], FOUR) == [Fault.LOST]


def test_what_was_changed_before_it_was_due_is_said_to_nobody() -> None:
    due = [replace(one, due={"guardians": 25.0}) for one in FOUR]
    assert stream_faults([replace(said(2)[0], at=25), *said(3, 4)], due) == []
    assert stream_faults([replace(said(2)[0], at=25), *said(4)], due) == [Fault.LOST]
    # Written before the due time, which came before the correction or did not: nobody can know.
    assert stream_faults(said(3, 4), due) == []
    assert stream_faults(said(4), due) == [Fault.LOST]


def test_a_withdrawal_is_owed_to_whom_the_grade_was_shown() -> None:
    gone = [*FOUR[:2], replace(FOUR[2], state=None)]
    removed = replace(said(3)[0], state=None)
    assert stream_faults([*said(1, 2), removed], gone) == []
    assert stream_faults([*said(1), removed], gone) == [Fault.LOST]
    assert stream_faults([], gone) == [Fault.LOST] * 2
    assert stream_faults([], [replace(one, due={"guardians": 45.0}) for one in gone]) == []


def test_a_state_whose_answer_was_never_got_or_that_changes_nothing_may_be_passed_over() -> None:
    assert stream_faults(said(1, 3, 4), [FOUR[0], replace(FOUR[1], acknowledged=None), *FOUR[2:]]) == []
    assert stream_faults(said(1, 3, 4), [FOUR[0], replace(FOUR[0], begun=20, acknowledged=21), *FOUR[2:]]) == []
