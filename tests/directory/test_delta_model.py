"""Any sequence of bulk and delta packages says what a slow, obvious model says: rows in dictionaries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from services.directory.importing.mapping import Mapper
from services.directory.importing.package import open_package
from services.directory.importing.past import Past
from services.directory.importing.reading import Reading, read_set
from services.directory.importing.report import Report
from tests.directory.packages import Cells, Package, gone, manifest, row, sound, text

PUPILS, ADULTS, CLASSES = ("p1", "p2", "p3"), ("a1", "a2", "a3"), ("c1", "c2")
ORDER = ("classes.csv", "users.csv", "roles.csv", "enrollments.csv", "demographics.csv")
Model = dict[str, dict[str, Cells]]
Change = tuple[str, Cells, bool, bool]
"""File, record, whether it is deleted, whether its file comes in bulk."""


def user(id: str, agents: tuple[str, ...], given: str) -> Cells:
    return {"sourcedId": id, "enabledUser": "true", "givenName": given, "familyName": "Faÿ",
            "agentSourcedIds": ",".join(agents)}  # fmt: skip


def role(id: str, name: str) -> Cells:
    return {"sourcedId": f"r-{id}", "userSourcedId": id, "roleType": "primary", "role": name, "orgSourcedId": "school"}


def enrolment(n: int, pupil: str, class_id: str) -> Cells:
    return {"sourcedId": f"e{n}", "classSourcedId": class_id, "schoolSourcedId": "school", "userSourcedId": pupil,
            "role": "student"}  # fmt: skip


def born(id: str, day: int) -> Cells:
    return {"sourcedId": id, "birthDate": f"2015-03-{day}"}


class_of = {c: {**row(sound(), "classes.csv", "6e1"), "sourcedId": c, "title": c} for c in CLASSES}
agents = st.lists(st.sampled_from(ADULTS), unique=True, max_size=2).map(tuple)
given_names = st.sampled_from(["Léa", "Noé", "Zoé"])
pupils = st.builds(user, st.sampled_from(PUPILS), agents, given_names)
adults = st.builds(user, st.sampled_from(ADULTS), st.lists(st.sampled_from(PUPILS), max_size=1).map(tuple), given_names)
roles = st.builds(role, st.sampled_from(PUPILS), st.just("student")) | st.builds(
    role, st.sampled_from(ADULTS), st.sampled_from(["parent", "relative", "guardian"])
)
enrolments = st.builds(enrolment, st.integers(0, 3), st.sampled_from(PUPILS), st.sampled_from(CLASSES))
records = {
    "classes.csv": st.sampled_from(CLASSES).map(class_of.__getitem__),
    "users.csv": pupils | adults,
    "roles.csv": roles,
    "enrollments.csv": enrolments,
    "demographics.csv": st.builds(born, st.sampled_from(PUPILS), st.integers(10, 28)),
}
change = st.sampled_from(sorted(records)).flatmap(
    lambda file: st.tuples(st.just(file), records[file], st.booleans(), st.booleans())
)
changes = st.lists(change, min_size=1, max_size=6, unique_by=lambda c: (c[0], c[1]["sourcedId"]))


def start() -> Model:
    """A sound set of the people of this game, and beside them one of each kind who stays: no bulk file may be empty."""
    rows = {
        **{file: sound()[file] for file in ("orgs.csv", "academicSessions.csv", "courses.csv")},
        "classes.csv": [*class_of.values(), {**class_of["c1"], "sourcedId": "c0"}],
        "users.csv": [*(user(p, ("a1",), "Léa") for p in PUPILS), *(user(a, (), "Côme") for a in ("p0", *ADULTS))],
        "roles.csv": [*(role(p, "student") for p in ("p0", *PUPILS)), *(role(a, "parent") for a in ADULTS)],
        "enrollments.csv": [enrolment(n, p, "c1") for n, p in enumerate(PUPILS)] + [enrolment(9, "p0", "c0")],
        "demographics.csv": [{"sourcedId": "p1", "birthDate": "2015-03-14"}],
    }
    return {file: {r["sourcedId"]: r for r in records} for file, records in rows.items()}


def lay(model: Model, changes: list[Change]) -> list[Change]:
    """Change the model; returns the changes that refer to nothing that is not there."""
    valid: list[Change] = []
    for change in sorted(changes, key=lambda one: ORDER.index(one[0])):
        file, record, deleted, _ = change
        if not deleted and not refers(model, file, record):
            continue
        valid.append(change)
        model[file].pop(record["sourcedId"], None)
        if not deleted:
            model[file][record["sourcedId"]] = record
        # Whoever and whatever is gone takes their places along.
        for other in ORDER:
            model[other] = {id: r for id, r in model[other].items() if refers(model, other, r)}
    return valid


def refers(model: Model, file: str, record: Cells) -> bool:
    """Whether everything that a record refers to is there."""
    users = model["users.csv"]
    if file == "roles.csv":
        return record["userSourcedId"] in users
    if file == "enrollments.csv":
        held = {(r["userSourcedId"], r["role"]) for r in model["roles.csv"].values()}
        return record["classSourcedId"] in model["classes.csv"] and (record["userSourcedId"], record["role"]) in held
    return file != "demographics.csv" or record["sourcedId"] in users


def packed(model: Model, changes: list[Change]) -> Package:
    """The package that tells these changes: files that come in bulk whole, the others as delta; the rest is absent."""
    delta: dict[str, list[Cells]] = {}
    bulk: dict[str, list[Cells]] = {}
    for file, record, deleted, whole in changes:
        if whole and model[file]:
            bulk[file] = list(model[file].values())
        delta.setdefault(file, []).append(gone(record) if deleted else record)
    for file in bulk:
        delta.pop(file, None)
    delta["orgs.csv"] = sound()["orgs.csv"]
    made = Package.delta(delta)
    made.texts |= {file: Package.of({file: rows}).texts[file] for file, rows in bulk.items()}
    made.texts["manifest.csv"] = text([*manifest(delta, "delta"), *([f"file.{f[:-4]}", "bulk"] for f in bulk)])
    return made


def read(package: Package, folder: Path, past: Past) -> Reading:
    report = Report()
    with open_package(package.write(folder), report) as opened:
        reading = read_set(opened, report, past)
    assert reading is not None
    assert not report.refused
    return reading


def statements(reading: Reading) -> list[object]:
    mapper = Mapper(reading.found, Report(), ("parent",), "Europe/Paris")
    return [s.document for s in (*mapper.schools(), *mapper.groups(), *mapper.people())]


@settings(max_examples=60, deadline=None)
@given(st.lists(changes, min_size=1, max_size=4))
def test_packages_say_what_their_rows_say(sequence: list[list[Change]]) -> None:
    model = start()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        reading = read(whole(model), folder, Past())
        for changes in sequence:
            valid = lay(model, changes)
            assert reading.parts is not None
            reading = read(packed(model, valid), folder, Past(revision=1, parts=reading.parts))
            assert statements(reading) == statements(read(whole(model), folder, Past()))


def whole(model: Model) -> Package:
    return Package.of({file: list(records.values()) for file, records in model.items() if records})
