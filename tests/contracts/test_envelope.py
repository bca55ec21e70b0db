"""The envelope on the wire: what goes in comes out, and what is not ours is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import BadEnvelope, Envelope, following, from_headers, to_headers

words = st.text(min_size=1, max_size=20)
envelopes = st.builds(
    Envelope,
    id=words,
    type=words,
    source=words,
    subject=words,
    key=words,
    time=st.datetimes(timezones=st.just(UTC)),
    uai=st.none() | words,
    audience=st.none() | words,
    directory_position=st.none() | st.integers(0, 2**62),
    sequence=st.none() | st.integers(0, 2**62),
    replay=st.booleans(),
)
ONE = Envelope("i", "t", "/s", "sub", "k", datetime(2026, 11, 23, tzinfo=UTC))


@given(envelopes)
def test_headers_carry_the_whole_envelope(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope), envelope.key.encode()) == envelope


@given(envelopes, words, words)
def test_what_follows_keeps_all_but_type_and_source(cause: Envelope, event_type: str, source: str) -> None:
    made = cause._replace(type=event_type, source=source)
    assert following(tuple(to_headers(cause)), event_type, source) == to_headers(made)


def test_a_header_that_is_no_attribute_is_passed_over() -> None:
    assert from_headers([*to_headers(ONE), ("of-another", b"\xff")], b"k") == ONE


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"])
def test_a_missing_attribute_is_named(name: str) -> None:
    with pytest.raises(BadEnvelope, match=name):
        from_headers([header for header in to_headers(ONE) if header[0] != name], b"k")


@pytest.mark.parametrize(
    "header",
    [
        ("ce_sequence", b"x"),
        ("ce_sequence", b"%d" % 2**63),
        ("ce_time", b"2026-11-23T10:00:00"),
        ("ce_id", b"\xff"),
        ("ce_id", None),
    ],
)
def test_a_malformed_attribute_is_refused(header: Any) -> None:
    kept = [one for one in to_headers(ONE._replace(sequence=1)) if one[0] != header[0]]
    with pytest.raises(BadEnvelope):
        from_headers([*kept, header], b"k")
