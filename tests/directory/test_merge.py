"""The merge of an import with what stands: pure, so the rules are tried on whatever hypothesis thinks of."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import GuardianLink, LinkKind, Membership, PersonChanged, Role, RoleName
from services.directory.documents import holds
from services.directory.domain import schools_of
from services.directory.importing.merge import carry_over, detached, fill_gaps, merge
from services.directory.ordering import ordered

TODAY = date(2026, 11, 23)
ID = UUID(int=1)
UAIS = ["0921234S", "0920001S"]
days = st.none() | st.dates(date(2026, 11, 1), date(2026, 12, 31))
people = st.integers(2, 5).map(lambda n: UUID(int=n))
roles = st.builds(
    Role,
    name=st.sampled_from([RoleName.PUPIL, RoleName.TEACHER]),
    uai=st.sampled_from(UAIS),
    starts=st.none(),
    ends=days,
)
memberships = st.builds(Membership, group=people, uai=st.sampled_from(UAIS), starts=days, ends=st.none())
links = st.builds(GuardianLink, person=people, kind=st.sampled_from(LinkKind), starts=st.none(), ends=days)
names = st.sampled_from(["Léa", "Lea", "Noé"])


@st.composite
def persons(draw: st.DrawFn) -> PersonChanged:
    """Any person of one id, parts in order, each part once."""
    found = draw(st.lists(links, max_size=4, unique_by=lambda p: p.person))
    return PersonChanged(
        id=ID,
        given_name=draw(names),
        family_name="Lefèvre",
        email=draw(st.none() | st.just("a@b")),
        roles=ordered(draw(st.lists(roles, max_size=3, unique_by=lambda p: (p.name, p.uai)))),
        memberships=ordered(draw(st.lists(memberships, max_size=3, unique_by=lambda p: p.group))),
        guardians=ordered(found),
        ended=draw(st.booleans()),
    )


@given(persons(), persons())
def test_what_the_source_repeats_changes_nothing(base: PersonChanged, ours: PersonChanged) -> None:
    assert merge(base, ours, base, TODAY) == (ours, [])


@given(persons(), persons())
def test_without_a_hand_the_source_is_followed(base: PersonChanged, theirs: PersonChanged) -> None:
    merged, kept = merge(base, base, theirs, TODAY)
    assert isinstance(merged, PersonChanged)
    assert not kept
    held = [link for link in merged.guardians if link in theirs.guardians or holds(link, TODAY)]
    assert held == theirs.guardians


@given(persons(), persons(), persons())
def test_merging_twice_is_merging_once(base: PersonChanged, ours: PersonChanged, theirs: PersonChanged) -> None:
    merged, _ = merge(base, ours, theirs, TODAY)
    assert merge(theirs, merged, theirs, TODAY) == (merged, [])


@given(persons(), persons(), persons())
def test_no_right_that_source_and_hand_both_lack(
    base: PersonChanged, ours: PersonChanged, theirs: PersonChanged
) -> None:
    merged, _ = merge(base, ours, theirs, TODAY)
    assert isinstance(merged, PersonChanged)
    for link in merged.guardians:
        if holds(link, TODAY):
            assert link in ours.guardians or link in theirs.guardians


@given(persons(), persons())
def test_a_right_withdrawn_by_hand_stays_withdrawn(base: PersonChanged, theirs: PersonChanged) -> None:
    ours = base.model_copy(update={"guardians": []})
    merged, _ = merge(base, ours, theirs, TODAY)
    assert isinstance(merged, PersonChanged)
    withdrawn = {link.person for link in base.guardians}
    assert not withdrawn & {link.person for link in merged.guardians}


@given(persons())
def test_who_is_detached_holds_nothing_at_these_schools(base: PersonChanged) -> None:
    theirs = detached(base, frozenset(UAIS[:1]))
    merged, _ = merge(base, base, theirs, TODAY)
    assert isinstance(merged, PersonChanged)
    assert not any(holds(r, TODAY) for r in merged.roles if r.uai == UAIS[0])
    assert [r for r in merged.roles if r.uai == UAIS[1]] == [r for r in base.roles if r.uai == UAIS[1]]
    elsewhere = UAIS[1] in schools_of(base)
    assert elsewhere or not any(holds(link, TODAY) for link in merged.guardians)


@given(persons(), persons())
def test_other_schools_and_gaps_are_filled_from_before(base: PersonChanged, theirs: PersonChanged) -> None:
    carried = carry_over(base, theirs.model_copy(update={"roles": []}), frozenset(UAIS[:1]))
    assert carried.roles == [r for r in base.roles if r.uai == UAIS[1]]
    filled = fill_gaps(base, theirs)
    assert isinstance(filled, PersonChanged)
    assert {p.person for p in filled.guardians} == {p.person for p in (*base.guardians, *theirs.guardians)}
