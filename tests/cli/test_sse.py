"""Server-sent events are read as browsers read them, however the bytes are cut."""

from __future__ import annotations

import pytest

from cli.demo.sse import Event, Parser

STREAM = (
    'retry: 2100\n\n: beat\nid: a.r\n\nevent: item\ndata: {"n": "é"}\nid: b.r\n\n'
    "event: removed\r\ndata: 1\r\ndata: 2\r\nid: c.r\r\n\r\n"
).encode()
EVENTS = [
    Event("", "", ""),
    Event("", "", "a.r"),
    Event("item", '{"n": "é"}', "b.r"),
    Event("removed", "1\n2", "c.r"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    parser = Parser()
    found = [event for n in range(0, len(STREAM), size) for event in parser.feed(STREAM[n : n + size])]
    assert found == EVENTS
    assert [event.beat for event in found] == [True, True, False, False]
    assert parser.retry_ms == 2100


def test_an_event_that_was_cut_is_none() -> None:
    assert list(Parser().feed(b"event: item\ndata: {}\nid: b.r\n")) == []


def test_a_cursor_stays_until_another_comes() -> None:
    parser = Parser()
    assert [event.id for event in parser.feed(b"id: a\n\nevent: item\ndata: 1\n\n")] == ["a", "a"]
