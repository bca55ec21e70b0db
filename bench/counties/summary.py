"""What a county holds, counted while it is written, and a few people of every interesting kind, by their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.counties.model import Child, Family, Household, Plan, School, Tie
from bench.counties.oneroster import AUTHORITY, SYSTEM
from services.directory.importing.identity import person_id

EXAMPLES = 3
"""Chosen of each kind."""
FULL_AGE = 18


class Summary:
    """Counts and examples of the schools that pass through `watch`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}
        self._schools: list[str] = []

    def watch(self, schools: Iterable[School]) -> Iterator[School]:
        """The same schools, each noted on its way."""
        before: frozenset[str] = frozenset()
        for school in schools:
            self._note(school, before)
            before = frozenset(family.number for family in school.families)
            yield school

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON types; ids are those of the file and, as `person`, of the directory."""
        return {
            "seed": self._plan.seed,
            "school_year": self._plan.school_year,
            "source": SYSTEM,
            "authority": list(AUTHORITY),
            "counts": dict(sorted(self._counts.items())),
            "examples": dict(sorted(self._examples.items())),
            "schools": self._schools,
        }

    def _note(self, school: School, before: frozenset[str]) -> None:
        self._schools.append(school.uai)
        self._counts.update(schools=1, classes=sum(g.is_class for g in school.groups), groups=len(school.groups))
        self._counts.update(post.value for _, post in school.staff.posts if post.value != "teacher")
        self._counts["teachers"] += sum(p.value == "teacher" for _, p in school.staff.posts)
        self._counts["teachers_of_two_schools"] += len(school.staff.visitors)
        for teacher in school.staff.visitors:
            self._choose("teacher of two schools", school, [teacher.id])
        staff = {person.id for person, _ in school.staff.posts}
        for family in school.families:
            self._note_family(school, family, before, staff)

    def _note_family(self, school: School, family: Family, before: frozenset[str], staff: set[str]) -> None:
        children = family.children
        ids = [child.person.id for child in children]
        self._counts.update(families=1, pupils=len(children))
        self._counts[f"families_{family.household.value}"] += 1
        if len(children) > 1:
            self._counts["pupils_with_siblings_at_school"] += len(children)
            self._choose("siblings at one school", school, ids, children)
        if family.number in before:
            self._counts["families_at_two_schools"] += 1
            self._choose("sibling at the school before", school, ids, children)
        if family.household is not Household.TOGETHER:
            self._choose(f"{family.household.value} family", school, ids, children)
        for child in children:
            self._note_child(school, child, staff)

    def _note_child(self, school: School, child: Child, staff: set[str]) -> None:
        if self._plan.school_year - child.born.year > FULL_AGE:
            self._counts["pupils_of_full_age"] += 1
            self._choose("pupil of full age", school, [child.person.id], [child])
        for adult, tie in child.ties:
            self._counts[f"ties_{tie.value}"] += 1
            if tie is Tie.CONTACT:
                self._choose("contact", school, [child.person.id], [child])
            if adult.email is None:
                self._choose("guardian without e-mail", school, [child.person.id], [child])
            if adult.id in staff:
                self._choose("parent who teaches at the school", school, [child.person.id], [child])

    def _choose(self, kind: str, school: School, ids: list[str], children: Sequence[Child] = ()) -> None:
        """Keep it among the examples of its kind while they are few; the children's adults are told with their ties."""
        chosen = self._examples.setdefault(kind, [])
        if len(chosen) < EXAMPLES:
            ties = dict.fromkeys(tie for child in children for tie in child.ties)
            adults = [{**_named(adult.id), "tie": tie.value} for adult, tie in ties]
            chosen.append({"school": school.uai, "people": [_named(id) for id in ids], "adults": adults})


def _named(id: str) -> dict[str, str]:
    return {"sourced_id": id, "person": str(person_id(SYSTEM, id))}
