"""The directory's API over HTTP: who may do what, what a write answers, what is told to whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chassis.database import Database
from services.directory.importing.identity import group_id, person_id
from tests.directory.conftest import Api, Import
from tests.directory.packages import OTHER_UAI, SOURCE, UAI, Package, sound

OPERATOR = "operators/ada"
NOBODY = "00000000-0000-7000-8000-000000000000"
ID = {id: str(person_id(SOURCE, id)) for id in ("head", "teacher", "lea", "noe", "mum", "dad", "granny", "carer")}
WHO = {name: f"people/{id}" for name, id in ID.items()}
CLASS = str(group_id(SOURCE, "6e1", 2027))
POSITION = "Preau-Directory-Position"


@pytest.fixture
async def school(api: Api, load: Import) -> Api:
    """The API over a directory with the sound set in it."""
    await load(Package.of(sound()), authority=("parent",))
    return api


async def test_me_tells_a_parent_their_children(school: Api) -> None:
    me = (await school(WHO["mum"], "GET", "/v1/me")).body
    assert me["person"] == {"id": ID["mum"], "given_name": "Amélie", "family_name": "Lefèvre"}
    assert me["roles"][0]["school_name"] == "Collège Jean-Macé"
    assert {(c["given_name"], c["class_name"], c["school_name"]) for c in me["children"]} == {
        ("Léa", "6e1", "Collège Jean-Macé"),
        ("Noé", "6e1", "Collège Jean-Macé"),
    }
    assert [c["given_name"] for c in (await school(WHO["dad"], "GET", "/v1/me")).body["children"]] == ["Léa"]
    assert (await school(WHO["granny"], "GET", "/v1/me")).body["children"] == []
    assert (await school(OPERATOR, "GET", "/v1/me")).body["person"] is None


async def test_a_school_may_open_to_a_kind_of_link(school: Api) -> None:
    assert (await school(WHO["carer"], "GET", "/v1/me")).body["children"] == []
    answer = await school(WHO["head"], "PATCH", f"/v1/schools/{UAI}", {"opened_to": ["person_in_charge"]})
    assert answer.status == 200
    assert [c["given_name"] for c in (await school(WHO["carer"], "GET", "/v1/me")).body["children"]] == ["Noé"]
    assert (await school(WHO["granny"], "GET", "/v1/me")).body["children"] == []


async def test_a_right_is_withdrawn_at_once_and_granted_with_dates(school: Api) -> None:
    path = f"/v1/pupils/{ID['lea']}/guardians/{ID['dad']}"
    withdrawn = await school(WHO["head"], "DELETE", path)
    assert withdrawn.status == 200
    assert (await school(WHO["dad"], "GET", "/v1/me")).body["children"] == []
    again = await school(WHO["head"], "DELETE", path)
    assert again.headers[POSITION] == withdrawn.headers[POSITION], "what changes nothing publishes nothing"
    later = {"kind": "legal_guardian", "starts": "2100-01-01"}
    assert (await school(WHO["head"], "PUT", path, later)).status == 200
    assert (await school(WHO["dad"], "GET", "/v1/me")).body["children"] == []
    granted = await school(WHO["head"], "PUT", path, {"kind": "legal_guardian"})
    assert int(granted.headers[POSITION]) > int(withdrawn.headers[POSITION])
    assert len((await school(WHO["dad"], "GET", "/v1/me")).body["children"]) == 1


FOR_HEADS: list[tuple[str, str, object]] = [
    ("PATCH", f"/v1/schools/{UAI}", {"name": "x"}),
    ("POST", "/v1/schools", {"uai": OTHER_UAI, "name": "x"}),
    ("POST", "/v1/groups", {"uai": UAI, "school_year": 2027, "kind": "group", "name": "x"}),
    ("PATCH", f"/v1/groups/{CLASS}", {"name": "x"}),
    ("DELETE", f"/v1/groups/{CLASS}", None),
    ("PUT", f"/v1/groups/{CLASS}/pupils/{ID['lea']}", {}),
    ("PUT", f"/v1/groups/{CLASS}/teachers/{ID['teacher']}", {}),
    ("POST", "/v1/people", {"given_name": "x", "family_name": "x", "roles": [{"name": "teacher", "uai": UAI}]}),
    ("PATCH", f"/v1/people/{ID['noe']}", {"given_name": "x"}),
    ("DELETE", f"/v1/people/{ID['noe']}", None),
    ("PUT", f"/v1/people/{ID['mum']}/roles/{UAI}/teacher", {}),
    ("PUT", f"/v1/pupils/{ID['noe']}/guardians/{ID['dad']}", {"kind": "legal_guardian"}),
    ("GET", f"/v1/pupils/{ID['noe']}/guardians", None),
    ("GET", f"/v1/people/{ID['noe']}", None),
    ("GET", f"/v1/schools/{UAI}/audit", None),
]


@pytest.mark.parametrize("who", ["teacher", "lea", "mum", "granny"])
async def test_others_are_told_nothing(school: Api, who: str) -> None:
    for method, path, body in FOR_HEADS:
        answer = await school(WHO[who], method, path, body)
        assert (answer.status, answer.body["code"]) == (404, "not-found"), (method, path)


async def test_a_refusal_does_not_tell_whether_it_exists(school: Api) -> None:
    real = await school(WHO["mum"], "GET", f"/v1/people/{ID['teacher']}")
    none = await school(WHO["mum"], "GET", f"/v1/people/{NOBODY}")
    assert {**real.body, "request": 0} == {**none.body, "request": 0}


async def test_a_teacher_reads_the_class_list_of_their_own_groups(school: Api) -> None:
    found = (await school(WHO["teacher"], "GET", f"/v1/groups/{CLASS}")).body
    assert [(p["given_name"], p["family_name"]) for p in found["pupils"]] == [("Léa", "Lefèvre"), ("Noé", "Lefèvre")]
    assert found["teachers"][0]["given_name"] == "Hélène"
    mine = (await school(WHO["teacher"], "GET", f"/v1/schools/{UAI}/groups?teacher=me&kind=class")).body
    assert [g["name"] for g in mine["groups"]] == ["6e1"]
    assert (await school(WHO["head"], "DELETE", f"/v1/groups/{CLASS}/teachers/{ID['teacher']}")).status == 200
    assert (await school(WHO["teacher"], "GET", f"/v1/groups/{CLASS}")).status == 404
    audit = (await school(WHO["head"], "GET", f"/v1/schools/{UAI}/audit")).body["entries"]
    seen = [(e["caller"], e["action"], e["outcome"]) for e in audit[:3]]
    assert seen == [
        (WHO["teacher"], "groups.read", "refused"),
        (WHO["head"], "teachings.withdraw", "done"),
        (WHO["teacher"], "groups.read", "done"),
    ]


async def test_a_head_makes_a_group_with_people_in_it(school: Api) -> None:
    body = {"uai": UAI, "school_year": 2027, "kind": "group", "name": "Latin"}
    made = await school(WHO["head"], "POST", "/v1/groups", body, Idempotency_Key="k1")
    again = await school(WHO["head"], "POST", "/v1/groups", body, Idempotency_Key="k1")
    assert (made.status, made.body) == (201, again.body)
    group = made.body["id"]
    person = {"given_name": "Éva", "family_name": "N'Diaye", "roles": [{"name": "pupil", "uai": UAI}]}
    pupil = (await school(WHO["head"], "POST", "/v1/people", person)).body["id"]
    assert (await school(WHO["head"], "PUT", f"/v1/groups/{group}/pupils/{pupil}", {})).status == 200
    subject = {"subject": {"code": "LCALA", "label": "Latin"}}
    assert (await school(WHO["head"], "PUT", f"/v1/groups/{group}/teachers/{ID['teacher']}", subject)).status == 200
    found = (await school(WHO["teacher"], "GET", f"/v1/groups/{group}")).body
    assert [p["id"] for p in found["pupils"]] == [pupil]
    assert (await school(WHO["head"], "DELETE", f"/v1/groups/{group}/pupils/{pupil}")).status == 200
    assert (await school(WHO["teacher"], "GET", f"/v1/groups/{group}")).body["pupils"] == []


async def test_a_head_has_no_say_elsewhere(school: Api) -> None:
    made = await school(OPERATOR, "POST", "/v1/schools", {"uai": OTHER_UAI, "name": "Autre"})
    assert made.status == 201
    person = {"given_name": "Éva", "family_name": "Faÿ", "roles": [{"name": "pupil", "uai": OTHER_UAI}]}
    pupil = (await school(OPERATOR, "POST", "/v1/people", person)).body["id"]
    head = WHO["head"]
    assert (await school(head, "PATCH", f"/v1/people/{pupil}", {"given_name": "x"})).status == 404
    assert (await school(head, "PUT", f"/v1/groups/{CLASS}/pupils/{pupil}", {})).status == 404
    assert (await school(head, "GET", f"/v1/schools/{OTHER_UAI}")).status == 404
    assert [s["uai"] for s in (await school(head, "GET", "/v1/schools")).body["schools"]] == [UAI]
    assert [s["uai"] for s in (await school(OPERATOR, "GET", "/v1/schools?limit=1")).body["schools"]] == [OTHER_UAI]


BAD_VALUES: list[tuple[str, str, object, str]] = [
    ("PATCH", f"/v1/people/{ID['lea']}", {"given_name": ""}, "given_name"),
    ("PATCH", f"/v1/people/{ID['lea']}", {"given_name": None}, "given_name"),
    ("PATCH", f"/v1/people/{ID['lea']}", {"given_name": "a\u0000b"}, "given_name"),
    ("PATCH", f"/v1/people/{ID['lea']}", {"nickname": "x"}, "nickname"),
    ("PATCH", f"/v1/people/{ID['lea']}", {"birth_date": 12}, "birth_date"),
    ("PATCH", f"/v1/people/{ID['lea']}", {"email": "lea"}, "email"),
    ("PUT", f"/v1/pupils/{ID['lea']}/guardians/{ID['lea']}", {"kind": "contact"}, "person"),
    ("PUT", f"/v1/pupils/{ID['mum']}/guardians/{ID['dad']}", {"kind": "contact"}, "pupil"),
    ("PUT", f"/v1/pupils/{ID['lea']}/guardians/{ID['dad']}", {"kind": "father"}, "kind"),
    ("PUT", f"/v1/groups/{CLASS}/pupils/{ID['mum']}", {}, "person"),
    ("PUT", f"/v1/groups/{CLASS}/teachers/{ID['lea']}", {}, "person"),
    ("PUT", f"/v1/people/{ID['mum']}/roles/{UAI}/head", {}, "role"),
    ("POST", "/v1/groups", {"uai": UAI, "school_year": 2031, "kind": "class", "name": "x"}, "school_year"),
    ("PATCH", f"/v1/schools/{UAI}", {"zone": "Paris"}, "zone"),
    ("PATCH", f"/v1/schools/{UAI}", {"school_years": []}, "terms.0.school_year"),
    ("GET", "/v1/groups/one", None, "id"),
]


async def test_a_bad_value_is_named(school: Api) -> None:
    for method, path, body, field in BAD_VALUES:
        answer = await school(WHO["head"], method, path, body)
        assert answer.status == 422, (path, body)
        assert field in {e["field"] for e in answer.body["errors"]}, (path, body)


async def test_two_who_edit_the_same_person(school: Api) -> None:
    path = f"/v1/people/{ID['lea']}"
    tag = (await school(WHO["head"], "GET", path)).headers["ETag"]
    first = await school(WHO["head"], "PATCH", path, {"phone": "0102030405"}, If_Match=tag)
    second = await school(WHO["head"], "PATCH", path, {"phone": "0102030406"}, If_Match=tag)
    assert (first.status, second.status, second.body["code"]) == (200, 412, "changed-meanwhile")


async def test_a_person_ends_first_and_is_erased_later(school: Api, directory: Database) -> None:
    path = f"/v1/people/{ID['dad']}"
    assert (await school(OPERATOR, "DELETE", f"{path}?erase=true")).status == 409
    ended = await school(WHO["head"], "DELETE", path)
    assert (ended.status, ended.body["ended"]) == (200, True)
    links: list[dict[str, Any]] = (await school(WHO["head"], "GET", f"/v1/pupils/{ID['lea']}/guardians")).body[
        "guardians"
    ]
    assert next(link for link in links if link["person"] == ID["dad"])["ends"] is not None
    assert (await school(WHO["head"], "DELETE", f"{path}?erase=true")).status == 404
    erased = await school(OPERATOR, "DELETE", f"{path}?erase=true")
    assert erased.status == 204
    links = (await school(WHO["head"], "GET", f"/v1/pupils/{ID['lea']}/guardians")).body["guardians"]
    assert ID["dad"] not in {link["person"] for link in links}
    async with directory.connection() as connection:
        last = await connection.fetchrow("SELECT id, key, value FROM outbox ORDER BY id DESC LIMIT 1")
    assert last is not None
    assert (last["id"], last["key"], last["value"]) == (int(erased.headers[POSITION]), WHO["dad"], None)


async def test_positions_grow_in_commit_order(school: Api, directory: Database) -> None:
    changes = [(id, n) for n in range(5) for id in ("lea", "noe", "mum", "dad")]
    answers = await asyncio.gather(
        *(school(WHO["head"], "PATCH", f"/v1/people/{ID[id]}", {"phone": f"01020304{n}0"}) for id, n in changes)
    )
    assert {a.status for a in answers} == {200}
    async with directory.connection() as connection:
        newest = await connection.fetchval("SELECT max(id) FROM outbox")
        last = await connection.fetchval("SELECT sequence FROM directory_position")
    assert last == newest == max(int(a.headers[POSITION]) for a in answers)
    written = {int(a.headers[POSITION]): a.headers["ETag"] for a in answers}
    assert len(written) == len(changes)
    assert all(tag == f'"{position}"' for position, tag in written.items())
