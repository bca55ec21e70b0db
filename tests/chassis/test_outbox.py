"""What the outbox keeps of events: headers made together are those that each would have had alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chassis.outbox import Outgoing, Stamp, columns, decode_headers, outgoing
from contracts.directory import Beat
from contracts.envelope import to_headers

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(["{subject}", "{audience}"])
STAMP = Stamp.now()


@st.composite
def events(draw: st.DrawFn) -> list[Outgoing]:
    made = []
    for key in draw(st.lists(NAMES, max_size=8)):
        uai, audience = draw(st.sampled_from([None, "0921234S"])), draw(st.sampled_from(["pupils", "guardians"]))
        stamp = draw(st.sampled_from([STAMP, replace(STAMP, traceparent="00-1-2-01"), None]))
        made.append(
            outgoing("t", Beat(), source="/s", key=key, subject=draw(NAMES), uai=uai, audience=audience, stamp=stamp)
        )
    return made


@given(events())
def test_headers_encoded_together_are_each_events_own(made: list[Outgoing]) -> None:
    assert [decode_headers(text) for text in columns(made)[2]] == [to_headers(one.envelope) for one in made]
