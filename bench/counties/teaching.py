"""A school's staff, classes and groups: who teaches what to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle

from bench.counties.model import Group, Person, Post, Staff

LEVELS = ("6e", "5e", "4e", "3e")
CLASS_LIFE = "VIECL"
SUBJECTS = {
    CLASS_LIFE: "Vie de classe",
    "FRANC": "Français",
    "MATHS": "Mathématiques",
    "HIGEO": "Histoire-géographie",
    "ANGL1": "Anglais LV1",
    "EPS": "Éducation physique et sportive",
    "A-PLA": "Arts plastiques",
    "EDMUS": "Éducation musicale",
    "TECHN": "Technologie",
    "SVT": "Sciences de la vie et de la Terre",
    "PHCHI": "Physique-chimie",
    "ESPA2": "Espagnol LV2",
    "ALLE2": "Allemand LV2",
    "ITAL2": "Italien LV2",
    "LCALA": "Langues et cultures de l'Antiquité, latin",
}
"""Code and label of everything that is taught."""
WHOLE_CLASS = ("FRANC", "MATHS", "HIGEO", "ANGL1", "EPS", "A-PLA", "EDMUS", "TECHN")
HALVES = ("SVT", "PHCHI")
LANGUAGES = ("ESPA2", "ESPA2", "ESPA2", "ALLE2", "ITAL2")
"""Second languages from 5e, as often as they are chosen."""
LATIN = "LCALA"

_POSTS = (
    (("FRANC", LATIN), 4),
    (("MATHS",), 5),
    (("HIGEO",), 6),
    (("ANGL1",), 6),
    (("EPS",), 6),
    (("A-PLA",), 18),
    (("EDMUS",), 18),
    (("TECHN",), 12),
    (("SVT", "PHCHI"), 6),
    (("ESPA2",), 8),
    (("ALLE2",), 16),
    (("ITAL2", "ESPA2"), 16),
)
"""Subjects that one teacher teaches, and the number of a school's classes that make a post."""
SHARED = ("A-PLA", "EDMUS", "ALLE2")
"""Subjects whose last teacher teaches at the next school too, at every other school."""


@dataclass(slots=True)
class Classes:
    """A school's classes and groups; `of_class` holds for each class its whole-class groups, itself first."""

    groups: list[Group] = field(default_factory=list)
    titles: list[list[str]] = field(default_factory=list)
    of_class: dict[str, tuple[str, ...]] = field(default_factory=dict)
    halves: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    languages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    latin: dict[str, str] = field(default_factory=dict)


def make_staff(classes: int, pupils: int, person: Callable[[str], Person], visitors: list[tuple[str, Person]]) -> Staff:
    """The people employed at a school; `person` makes one of an id's suffix, `visitors` come from the school before."""
    staff = Staff()
    for suffix in ("head", "deputy"):
        staff.posts.append((person(suffix), Post.HEAD))
    for n in range(1 + pupils // 300):
        staff.posts.append((person(f"cpe{n}"), Post.STUDENT_AFFAIRS))
    for subjects, load in _POSTS:
        for n in range(max(1, -(-classes // load))):
            teacher = person(f"t-{subjects[0]}-{n}")
            staff.posts.append((teacher, Post.TEACHER))
            for subject in subjects:
                staff.by_subject.setdefault(subject, []).append(teacher)
    for subject, teacher in visitors:
        staff.posts.append((teacher, Post.TEACHER))
        staff.visitors.append(teacher)
        staff.by_subject[subject].append(teacher)
    return staff


def make_classes(prefix: str, per_level: list[int], staff: Staff) -> Classes:
    """Classes and groups with their teachers; a class's form teacher is one of its own teachers."""
    made = Classes()
    turns = {subject: cycle(teachers) for subject, teachers in staff.by_subject.items()}
    for level, count in zip(LEVELS, per_level, strict=True):
        titles = [f"{level}{n + 1}" for n in range(count)]
        made.titles.append([f"{prefix}-{title}" for title in titles])
        for title in titles:
            _make_class(made, prefix, title, {s: next(turns[s]) for s in (*WHOLE_CLASS, *HALVES)})
        if level != LEVELS[0]:
            _across(made, prefix, level, count, {s: next(turns[s]) for s in (*LANGUAGES, LATIN)})
    return made


def _make_class(made: Classes, prefix: str, title: str, teachers: dict[str, Person]) -> None:
    home = f"{prefix}-{title}"
    form = teachers[WHOLE_CLASS[len(made.of_class) % len(WHOLE_CLASS)]]
    made.groups.append(Group(home, title, CLASS_LIFE, form, is_class=True))
    whole = [Group(f"{home}-{s}", f"{title} {SUBJECTS[s]}", s, teachers[s]) for s in WHOLE_CLASS]
    halves = [
        [Group(f"{home}-{s}-{half}", f"{title} {SUBJECTS[s]} groupe {half}", s, teachers[s]) for s in HALVES]
        for half in (1, 2)
    ]
    made.groups += [*whole, *halves[0], *halves[1]]
    made.of_class[home] = (home, *(group.id for group in whole))
    made.halves[home] = (tuple(g.id for g in halves[0]), tuple(g.id for g in halves[1]))


def _across(made: Classes, prefix: str, level: str, count: int, teachers: dict[str, Person]) -> None:
    """Groups of a whole level: as many of each language as its pupils need, and one of latin."""
    found: list[str] = []
    for place, subject in enumerate(LANGUAGES):
        for part in range(max(1, round(count / len(LANGUAGES)))):
            name = f"{subject}-{place * 10 + part + 1}"
            title = f"{level} {SUBJECTS[subject]} {place * 10 + part + 1}"
            made.groups.append(Group(f"{prefix}-{level}-{name}", title, subject, teachers[subject]))
            found.append(f"{prefix}-{level}-{name}")
    made.languages[level] = tuple(found)
    made.latin[level] = f"{prefix}-{level}-{LATIN}"
    made.groups.append(Group(made.latin[level], f"{level} {SUBJECTS[LATIN]}", LATIN, teachers[LATIN]))
