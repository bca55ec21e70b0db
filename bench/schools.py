"""A county of made-up middle schools as a OneRoster package: seeded, so the same each time.

python -m bench.schools county.zip --pupils 54000
"""

from __future__ import annotations

import argparse
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.oneroster import PackageWriter

PUPILS_A_SCHOOL = 540
PUPILS_A_CLASS = 27
LEVELS = ("6e", "5e", "4e", "3e")
SUBJECTS = {
    "FRANC": "Français",
    "MATHS": "Mathématiques",
    "HIGEO": "Histoire-géographie",
    "ANGL1": "Anglais LV1",
    "ESPA2": "Espagnol LV2",
    "SVT": "Sciences de la vie et de la Terre",
    "PHCHI": "Physique-chimie",
    "TECHN": "Technologie",
    "EPS": "Éducation physique et sportive",
    "A-PLA": "Arts plastiques",
}
"""Code and label of what each class is taught, each in a group of its own."""

_GIVEN = """
Adèle Aïcha Amélie Anaïs André Antoine Apolline Aurélien Baptiste Benoît Camille Célia Chloé Clément Côme
Diégo Élise Élodie Émile Éva Fatou Félix François Gaël Gaëlle Hélène Héloïse Hugo Inès Ismaël Jérôme Joël
Jules Léa Léo Loïc Louane Maël Maëlys Margaux Maxence Mélina Mohamed Naël Noé Noémie Océane Rachid Raphaël
Rémi Salomé Sébastien Sofía Théo Timéo Valérie Yaël Zélie Zoé
"""
_FAMILY = """
Abadie Bénard Berger Besson Blanchet Boulanger Bréchet Carlier Châtelain Chevallier Cordier Côté Crépin
Dacosta Delâge Diallo Dupré Étienne Fabre Faÿ Ferrand Fournié Garçon Gérard Gonçalves Grégoire Guérin Haddad
Hébert Jégou Kœnig Lacoste Lefèvre Le-Goff Lemaître L'Hôte Maçon Marchand Mbaye Ménard Moreau N'Diaye Nguyen
Noël Ouédraogo Pâquet Perrot Prévôt Quéré Raynaud Rivière Roussel Saint-Léger Sénéchal Séverin Tessier
Thévenot Traoré Vasseur Véron Yılmaz Zidane
"""
GIVEN, FAMILY = tuple(_GIVEN.split()), tuple(_FAMILY.split())
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def uai(number: int) -> str:
    """The identifier of a school: seven digits and the letter they call for."""
    return f"{number:07d}{_UAI_LETTERS[number % 23]}"


def plain(text: str) -> str:
    """A name as it stands in an address: no accents, no apostrophes, lower case."""
    letters = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("ı", "i"))
    return "".join(c for c in letters.lower() if (c.isalnum() and c.isascii()) or c == "-")


@dataclass
class SchoolWriter:
    """Writes one school into a package; ids begin with `prefix`, so schools do not meet."""

    out: PackageWriter
    prefix: str
    org: str
    school_year: int
    chance: random.Random
    pupils: list[tuple[str, str, str]] = field(default_factory=list)
    """(id, given name, family name) of the pupils enrolled so far."""
    _count: int = 0

    def person(self, id: str, given: str, family: str, role: str, agents: str = "", **more: str) -> str:
        """Write a user and their role at the school; returns the id."""
        self.out.add(
            "users.csv",
            sourcedId=id,
            enabledUser="true",
            username=id,
            givenName=given,
            familyName=family,
            email=more.pop("email", f"{plain(given)}.{plain(family)}.{plain(id)}@exemple.invalid"),
            agentSourcedIds=agents,
            **more,
        )
        self.out.add(
            "roles.csv",
            sourcedId=f"{id}-role-{self.prefix}",
            userSourcedId=id,
            roleType="primary",
            role=role,
            orgSourcedId=self.org,
        )
        return id

    def born(self, id: str, birth_date: str) -> None:
        """Write a birth date."""
        self.out.add("demographics.csv", sourcedId=id, birthDate=birth_date)

    def class_(self, id: str, title: str, kind: str, course: str) -> str:
        """Write a class (homeroom) or group (scheduled); returns the id."""
        self.out.add(
            "classes.csv",
            sourcedId=id,
            title=title,
            courseSourcedId=course,
            classType=kind,
            schoolSourcedId=self.org,
            termSourcedIds=",".join(f"{self.school_year}-T{n}" for n in (1, 2, 3)),
        )
        return id

    def enrol(self, class_id: str, user: str, role: str = "student", primary: str = "") -> None:
        """Write a pupil's or teacher's place in a class."""
        self._count += 1
        self.out.add(
            "enrollments.csv",
            sourcedId=f"{self.prefix}-e{self._count}",
            classSourcedId=class_id,
            schoolSourcedId=self.org,
            userSourcedId=user,
            role=role,
            primary=primary,
        )

    def name(self) -> tuple[str, str]:
        """A made-up given and family name."""
        return self.chance.choice(GIVEN), self.chance.choice(FAMILY)


def write_calendar(out: PackageWriter, school_year: int) -> None:
    """The school year and its three terms; ends are the first day after."""
    first = school_year - 1
    parts = [
        ("", "schoolYear", f"{first}-{school_year}", f"{first}-09-01", f"{school_year}-08-01"),
        ("-T1", "term", "1er trimestre", f"{first}-09-01", f"{first}-12-01"),
        ("-T2", "term", "2e trimestre", f"{first}-12-01", f"{school_year}-03-08"),
        ("-T3", "term", "3e trimestre", f"{school_year}-03-08", f"{school_year}-08-01"),
    ]
    for suffix, kind, title, starts, ends in parts:
        out.add(
            "academicSessions.csv",
            sourcedId=f"{school_year}{suffix}",
            title=title,
            type=kind,
            startDate=starts,
            endDate=ends,
            parentSourcedId=str(school_year) if suffix else "",
            schoolYear=str(school_year),
        )


def write_courses(out: PackageWriter, org: str) -> None:
    """One course a subject, and one for class life."""
    for code, label in (("VIECL", "Vie de classe"), *SUBJECTS.items()):
        out.add("courses.csv", sourcedId=f"c-{code}", title=label, courseCode=code, orgSourcedId=org)


def write_family(school: SchoolWriter, classes: list[list[str]]) -> None:
    """One to three siblings with one or two parents, now and then a grandparent who may be called."""
    _, family = school.name()
    number = len(school.pupils)
    key = f"{school.prefix}-f{number}"
    adults = []
    for n in range(1 if school.chance.random() < 0.2 else 2):
        given, other = school.name()
        adults.append(school.person(f"{key}a{n}", given, family if school.chance.random() < 0.7 else other, "parent"))
    if school.chance.random() < 0.1:
        adults.append(school.person(f"{key}g", *school.name(), "relative"))
    for n in range(school.chance.choices((1, 2, 3), (70, 25, 5))[0]):
        if len(school.pupils) >= len(classes) * PUPILS_A_CLASS:
            return
        place = len(school.pupils) % len(classes)
        given, _ = school.name()
        id = school.person(f"{key}p{n}", given, family, "student", ",".join(adults))
        born = school.school_year - 12 - place % 4
        school.born(id, f"{born}-{school.chance.randint(1, 12):02d}-{school.chance.randint(1, 28):02d}")
        for class_id in classes[place]:
            school.enrol(class_id, id)
        school.pupils.append((id, given, family))


def write_staff(school: SchoolWriter, size: int) -> dict[str, list[str]]:
    """A head, education advisers, and the teachers of each subject."""
    school.person(f"{school.prefix}-head", *school.name(), "principal")
    for n in range(1 + size // 300):
        school.person(f"{school.prefix}-cpe{n}", *school.name(), "counselor")
    count = max(1, size // 135)
    return {
        code: [school.person(f"{school.prefix}-t-{code}-{n}", *school.name(), "teacher") for n in range(count)]
        for code in SUBJECTS
    }


def write_classes(school: SchoolWriter, count: int, teachers: dict[str, list[str]]) -> list[list[str]]:
    """Classes with a group a subject; returns for each class the ids a pupil of it is enrolled in."""
    made = []
    for n in range(count):
        title = f"{LEVELS[n % 4]}{n // 4 + 1}"
        home = school.class_(f"{school.prefix}-{title}", title, "homeroom", "c-VIECL")
        ids = [home]
        for place, (code, staff) in enumerate(teachers.items()):
            group = school.class_(
                f"{school.prefix}-{title}-{code}", f"{title} {SUBJECTS[code]}", "scheduled", f"c-{code}"
            )
            teacher = staff[n % len(staff)]
            school.enrol(group, teacher, "teacher")
            if place == n % len(teachers):
                school.enrol(home, teacher, "teacher", "true")
            ids.append(group)
        made.append(ids)
    return made


def write_schools(
    path: Path, pupils: int, *, seed: int = 92, school_year: int = 2027, system: str = "county"
) -> list[str]:
    """Write a package with this many pupils in schools of 540; returns the schools' identifiers."""
    with PackageWriter(system) as out:
        write_calendar(out, school_year)
        out.add("orgs.csv", sourcedId="county", name="Département", type="district")
        write_courses(out, "county")
        uais = []
        for number, size in enumerate(_sizes(pupils)):
            uais.append(uai(920_001 + number))
            org = f"school-{number}"
            out.add(
                "orgs.csv",
                sourcedId=org,
                name=f"Collège n° {number + 1}",
                type="school",
                identifier=uais[-1],
                parentSourcedId="county",
            )
            school = SchoolWriter(out, f"s{number}", org, school_year, random.Random(f"{seed}/{number}"))
            classes = write_classes(school, max(1, -(-size // PUPILS_A_CLASS)), write_staff(school, size))
            while len(school.pupils) < size:
                write_family(school, classes)
        out.write(path)
    return uais


def _sizes(pupils: int) -> Iterator[int]:
    while pupils > 0:
        yield min(pupils, PUPILS_A_SCHOOL)
        pupils -= PUPILS_A_SCHOOL


def main() -> None:
    """Write a package from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--pupils", type=int, default=54_000)
    parser.add_argument("--seed", type=int, default=92)
    options = parser.parse_args()
    uais = write_schools(options.path, options.pupils, seed=options.seed)
    print(f"{options.path}: {len(uais)} schools")


if __name__ == "__main__":
    main()
