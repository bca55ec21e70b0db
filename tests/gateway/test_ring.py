"""The ring serves exactly what a reader lacks, within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.stream.ring import Item, Ring

SCOPES = ["guardians:pupils/a", "guardians:groups/b", "staff:schools/c"]
items = st.lists(st.tuples(st.sampled_from(SCOPES), st.integers(1, 40), st.integers(1, 3)), max_size=60)


def filled(ring: Ring, shape: list[tuple[str, int, int]]) -> list[Item]:
    """Append items of given scopes, sizes and gaps between offsets."""
    made, offset = [], ring.head
    for scope, size, gap in shape:
        offset += gap
        made.append(Item(offset, scope, b"%d." % offset + b"x" * size))
        ring.append(made[-1])
    return made


@given(items, st.integers(-1, 130), st.sets(st.sampled_from(SCOPES)), st.integers(1, 200))
def test_a_reader_gets_all_of_its_scopes_once_and_in_order(
    shape: list[tuple[str, int, int]], position: int, scopes: set[str], budget: int
) -> None:
    ring = Ring(1000, 1_000_000)
    made = filled(ring, shape)
    got: list[bytes] = []
    at = position
    while True:
        run = ring.after(at, scopes, budget)
        got += run.frames
        if not run.more:
            break
        assert run.frames
        assert run.last > at
        at = run.last
    assert got == [item.frame for item in made if item.scope in scopes and item.offset > position]


@given(items, st.integers(1, 10), st.integers(1, 200))
def test_bounds_hold_and_the_floor_tells_what_was_dropped(
    shape: list[tuple[str, int, int]], most_items: int, most_bytes: int
) -> None:
    ring = Ring(most_items, most_bytes)
    made = filled(ring, shape)
    assert len(ring) <= most_items
    assert ring.bytes <= most_bytes or len(ring) == 1
    kept = [item for item in made if item.offset > ring.floor]
    assert len(kept) == len(ring)
    assert ring.bytes == sum(len(item.frame) for item in kept)
    assert ring.after(ring.floor, SCOPES, 10**9).frames == [item.frame for item in kept]
    with pytest.raises(LookupError):
        ring.after(ring.floor - 1, SCOPES, 10**9)


@given(items, st.integers(1, 200))
def test_readers_at_one_position_share_a_run_and_a_new_item_ends_it(
    shape: list[tuple[str, int, int]], budget: int
) -> None:
    ring = Ring(1000, 1_000_000)
    filled(ring, [*shape, (SCOPES[0], 5, 1)])
    first = ring.after(-1, [SCOPES[0]], budget)
    assert ring.after(-1, [SCOPES[0]], budget) is first
    filled(ring, [(SCOPES[0], 5, 1)])
    everything = ring.after(-1, [SCOPES[0]], 10**9)
    assert everything.last == ring.head


def test_offsets_only_grow_and_holes_move_the_head() -> None:
    ring = Ring(10, 1000, first=5)
    assert (ring.floor, ring.head) == (4, 4)
    ring.skip(7)
    assert ring.head == 7
    with pytest.raises(ValueError, match="grow"):
        ring.append(Item(7, SCOPES[0], b"x"))
