"""Families and their pupils: households of every kind, and seats in classes for all their children."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

from bench.counties import names
from bench.counties.model import Child, Family, Household, Person, Tie
from bench.counties.teaching import LEVELS, Classes

_HOUSEHOLDS = (
    (Household.TOGETHER, 58), (Household.SEPARATED, 20), (Household.SINGLE, 14),
    (Household.BLENDED, 5), (Household.TUTORED, 1), (Household.FOSTERED, 2),
)  # fmt: skip
_CHILDREN = ((1, 80), (2, 17), (3, 2), (4, 1))
_GRANDPARENT, _NO_EMAIL, _NO_PHONE, _ELSEWHERE, _LATIN = 0.12, 0.15, 0.06, 0.08, 0.2
_FULL_AGE = 0.0005
"""Share of pupils of full age: late arrivals in a county's schools."""
_AT_SCHOOL = 60
"""One family in so many has a parent who teaches at the school."""

T = TypeVar("T")
Ties = tuple[tuple[Person, Tie], ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A child for the next school, whose brothers and sisters are at this one."""

    number: str
    household: Household
    family_name: str
    ties: Ties


@dataclass(slots=True)
class Seats:
    """The places left in a school's classes: (level number, class), in a drawn order."""

    classes: Classes
    chance: random.Random
    left: list[tuple[int, str]] = field(default_factory=list)

    def fill(self, per_level: Sequence[int]) -> None:
        """Have so many places in each level, spread evenly over its classes."""
        for level, pupils in enumerate(per_level):
            titles = self.classes.titles[level]
            self.left += [(level, titles[n % len(titles)]) for n in range(pupils)]
        self.chance.shuffle(self.left)

    def take(self, taken: set[int]) -> tuple[int, str]:
        """A place, if it can be had in a level in which no brother or sister is."""
        for place in range(len(self.left) - 1, max(-1, len(self.left) - 5), -1):
            if self.left[place][0] not in taken:
                return self.left.pop(place)
        return self.left.pop()

    def groups(self, level: int, home: str) -> tuple[str, ...]:
        """The groups of a pupil of a class: whole class, half of it, and from 5e a language and perhaps latin."""
        found = (*self.classes.of_class[home], *self.classes.halves[home][self.chance.random() < 0.5])
        if level == 0:
            return found
        languages = self.classes.languages[LEVELS[level]]
        found = (*found, languages[int(self.chance.random() * len(languages))])
        return (*found, self.classes.latin[LEVELS[level]]) if self.chance.random() < _LATIN else found


class FamilyMaker:
    """Makes the families of one school until its seats are taken."""

    def __init__(
        self,
        prefix: str,
        school_year: int,
        chance: random.Random,
        seats: Seats,
        person: Callable[[str, str, str], Person],
        teachers: Sequence[Person],
    ) -> None:
        self._prefix = prefix
        self._year = school_year
        self._chance = chance
        self._seats = seats
        self._person = person
        self._teachers = teachers
        self._pupils = 0
        self._last_tutor: Person | None = None
        self.waiting: list[Waiting] = []

    def all(self, arriving: Sequence[Waiting], *, goes_on: bool) -> list[Family]:
        """The school's families: those with children at the school before first; `goes_on`: a next school follows."""
        made = [
            Family(one.number, one.household, (self._child(one.family_name, one.ties, {}),))
            for one in arriving
            if self._seats.left
        ]
        while self._seats.left:
            made.append(self._family(f"{self._prefix}-f{len(made)}", goes_on))
        return made

    def _family(self, number: str, goes_on: bool) -> Family:
        chance = self._chance
        household = _weighted(_HOUSEHOLDS, chance)
        count = max(_weighted(_CHILDREN, chance), 2 if household is Household.BLENDED else 1)
        name = names.family(chance)
        ties = self._ties(number, household, name)
        if goes_on and count > 1 and chance.random() < _ELSEWHERE:
            count -= 1
            self.waiting.append(Waiting(number, household, name, ties[-1]))
        born: dict[int, date] = {}
        count = min(count, len(self._seats.left))
        return Family(number, household, tuple(self._child(name, ties[n % len(ties)], born) for n in range(count)))

    def _ties(self, number: str, household: Household, name: str) -> list[Ties]:
        """Who the children are tied to; in a blended family every other child has another second parent."""
        if household is Household.TUTORED:
            return [((self._tutor(number), Tie.TUTOR),)]
        mother = self._mother(number, name)
        found: list[Ties]
        if household is Household.SINGLE:
            found = [((mother, Tie.PARENT),)]
        elif household is Household.FOSTERED:
            found = [((mother, Tie.PARENT), (self._adult(f"{number}c", mother.home, ""), Tie.IN_CHARGE))]
        else:
            fathers = 2 if household is Household.BLENDED else 1
            home = mother.home if household is Household.TOGETHER else ""
            found = [
                ((mother, Tie.PARENT), (self._adult(f"{number}b{n}", home, name), Tie.PARENT)) for n in range(fathers)
            ]
        if self._chance.random() < _GRANDPARENT:
            contact = (self._adult(f"{number}g", "", name), Tie.CONTACT)
            found = [(*ties, contact) for ties in found]
        return found

    def _mother(self, number: str, name: str) -> Person:
        if self._teachers and self._chance.random() * _AT_SCHOOL < 1:
            return self._teachers[int(self._chance.random() * len(self._teachers))]
        return self._adult(f"{number}a", "", name)

    def _tutor(self, number: str) -> Person:
        """Somebody with authority who is no parent; one in two is the tutor of another family too."""
        if self._last_tutor is None or self._chance.random() < 0.5:
            self._last_tutor = self._adult(f"{number}t", "", "")
        return self._last_tutor

    def _adult(self, id: str, home: str, name: str) -> Person:
        own = names.family(self._chance) if not name or self._chance.random() < 0.35 else name
        return self._person(id, own, home)

    def _child(self, name: str, ties: Ties, born: dict[int, date]) -> Child:
        level, home = self._seats.take(set(born))
        birth = born.setdefault(level, self._birth(level))
        self._pupils += 1
        person = Person(f"{self._prefix}-p{self._pupils}", names.given(self._chance), name, home=ties[0][0].home)
        return Child(person, birth, LEVELS[level], ties, self._seats.groups(level, home))

    def _birth(self, level: int) -> date:
        """A birth date: one pupil in twenty is a year late, a few are of full age."""
        draw = self._chance.random()
        late = 8 if draw < _FULL_AGE else 1 if draw < 0.05 else 0
        return date(self._year - 12 - level - late, 1, 1) + timedelta(days=int(self._chance.random() * 365))


def adult_maker(chance: random.Random) -> Callable[[str, str, str], Person]:
    """Makes people with an address, for most also an e-mail address and a number."""

    def person(id: str, family_name: str, home: str) -> Person:
        email = None if chance.random() < _NO_EMAIL else f"{id}@exemple.invalid"
        phone = None if chance.random() < _NO_PHONE else f"+336{int(chance.random() * 10**8):08d}"
        return Person(id, names.given(chance), family_name, email, phone, home or names.address(chance))

    return person


def _weighted(choices: Sequence[tuple[T, int]], chance: random.Random) -> T:
    draw = chance.random() * sum(weight for _, weight in choices)
    for value, weight in choices:
        draw -= weight
        if draw < 0:
            return value
    return choices[-1][0]
