"""Making a county from a seed, school after school, so that only one is held at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bench.counties import names
from bench.counties.families import FamilyMaker, Seats, Waiting, adult_maker
from bench.counties.model import Person, Plan, School, Staff
from bench.counties.teaching import LEVELS, SHARED, make_classes, make_staff
from bench.schools import uai

PUPILS_A_CLASS = 26
FIRST_UAI = 920_001
"""Hauts-de-Seine is department 092."""


def make(plan: Plan) -> Iterator[School]:
    """The schools of a county; brothers and sisters and shared teachers tie each to the next."""
    arriving: list[Waiting] = []
    visitors: list[tuple[str, Person]] = []
    for number, pupils in enumerate(_sizes(plan)):
        chance = random.Random(f"{plan.seed}/{number}")
        prefix = f"{number:04d}"
        per_level = [pupils // 4 + (n < pupils % 4) for n in range(len(LEVELS))]
        classes_per_level = [max(1, round(n / PUPILS_A_CLASS)) for n in per_level]
        adult = adult_maker(chance)

        def employee(suffix: str) -> Person:
            return adult(f"{prefix}-{suffix}", names.family(chance), "")  # noqa: B023

        staff = make_staff(sum(classes_per_level), pupils, employee, visitors)
        classes = make_classes(prefix, classes_per_level, staff)
        seats = Seats(classes, chance)
        seats.fill(per_level)
        last = number == plan.schools - 1
        maker = FamilyMaker(prefix, plan.school_year, chance, seats, adult, _parents_among(staff))
        families = maker.all(arriving, goes_on=not last)
        yield School(number, uai(FIRST_UAI + number), names.school(number), staff, classes.groups, families)
        arriving = maker.waiting
        visitors = [] if number % 2 else [(s, staff.by_subject[s][-1]) for s in SHARED]


def _parents_among(staff: Staff) -> list[Person]:
    return [person for subject in ("FRANC", "MATHS") for person in staff.by_subject[subject][:2]]


def _sizes(plan: Plan) -> list[int]:
    """Pupils of each school: unequal, and as many as planned in all."""
    chance = random.Random(f"{plan.seed}/sizes")
    weights = [0.7 + 0.6 * chance.random() for _ in range(plan.schools)]
    sizes, total, given = [], sum(weights), 0
    running = 0.0
    for weight in weights:
        running += weight
        upto = round(plan.pupils * running / total)
        sizes.append(upto - given)
        given = upto
    return sizes
