"""The pictures of the README: a term of the demo school's grades, and the portal as a phone shows it.

`python -m bench.screenshots` fills the demo school of the Préau that runs in `PREAU_HOME`: for one that holds nothing else.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import urllib.request
import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bench.schools import SUBJECTS
from cli import demo_school
from cli.running_home import RunningHome
from infra.local.control import ask
from infra.local.home import CHECKOUT, Home
from services.directory.importing.identity import person_id

IMAGES = CHECKOUT / "docs" / "images"
_PHONE = {"width": 390, "height": 844}
_LEVELS = {"FRANC": 13, "MATHS": 14, "HIGEO": 12, "ANGL1": 16, "SVT": 13, "EPS": 15, "A-PLA": 14}
"""The subjects that get marks, and about where the pupil stands in each."""
_TITLES = ("Interrogation", "Contrôle", "Devoir maison", "Évaluation de chapitre", "Contrôle commun")
_COLOURS = 200


@dataclass(frozen=True, slots=True)
class Api:
    """The public API as somebody."""

    url: str
    token: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer; raises urllib's error for a refusal."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - a base of ours
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content else None

    def become(self, login: str) -> Api:
        """The same API as the account of this login."""
        body = {"account": login, "name": "screenshots", "expires_in": 3600}
        return Api(self.url, self.call("POST", "/v1/tokens", body)["token"])


@dataclass(frozen=True, slots=True)
class Test:
    """An assessment to be held: the place it has among those of its subject, and about what the pupil gets."""

    day: date
    place: int
    level: int
    teacher: Api
    group: str
    pupil: str


def fill(operator: Api) -> None:
    """A term of marks for the demo pupil's class and a few for her brother's, day after day until today."""
    dice = random.Random(demo_school.UAI)
    tests = []
    for code, level in _LEVELS.items():
        teacher = operator.become(_account(operator, code))
        first, last = _term(teacher)
        for child, class_, places in ((demo_school.PUPIL, "6e1", range(5)), (demo_school.BROTHER, "4e2", range(4, 5))):
            group = _group(teacher, f"{class_} {SUBJECTS[code]}")
            days = ((place, first + (last - first) * (place + dice.random()) / 5) for place in places)
            tests += [Test(day, place, level, teacher, group, str(child.id)) for place, day in days]
    for test in sorted(tests, key=lambda one: one.day):
        _mark(test, dice)


def _group(teacher: Api, name: str) -> str:
    groups = teacher.call("GET", f"/v1/schools/{demo_school.UAI}/groups?teacher=me")["groups"]
    return next(str(one["id"]) for one in groups if one["name"] == name)


def _account(operator: Api, code: str) -> str:
    person = person_id(demo_school.SOURCE, f"t-{code}")
    known = {str(one.id): one.login for one in demo_school.PEOPLE}
    if str(person) in known:
        return known[str(person)]
    login = f"prof-{uuid.uuid4()}"
    operator.call("POST", "/v1/accounts", {"login": login, "password": str(uuid.uuid4()), "person": str(person)})
    return login


def _mark(test: Test, dice: random.Random) -> None:
    body = {"group": test.group, "title": _TITLES[test.place], "held_on": str(test.day)}
    made = test.teacher.call("POST", "/v1/assessments", {**body, "coefficient": 1 + test.place % 2})
    test.teacher.call("POST", f"/v1/assessments/{made['id']}/publication")
    pupils = [one["id"] for one in test.teacher.call("GET", f"/v1/groups/{test.group}")["pupils"]]
    marks: list[dict[str, Any]] = [{"pupil": one, "score": _score(dice, 12)} for one in pupils if one != test.pupil]
    own = {"pupil": test.pupil, "score": _score(dice, test.level + test.place / 3)}
    if test.place == 1 and test.level == 13:
        own = {"pupil": test.pupil, "code": "absent"}
    if test.place == 4 and test.level > 13:
        own["comment"] = "De réels progrès, continuez\u202f!"
    test.teacher.call("POST", f"/v1/assessments/{made['id']}/marks", {"marks": [*marks, own]})


def _score(dice: random.Random, level: float) -> str:
    return str(min(max(round(dice.gauss(level, 2.2) * 2) / 2, 2), 20))


def _term(teacher: Api) -> tuple[date, date]:
    """The first day of the current term, and today or its last one."""
    today = date.today()  # noqa: DTZ011 - the day on the machine that takes pictures
    terms = teacher.call("GET", f"/v1/schools/{demo_school.UAI}")["terms"]
    begun = max((one for one in terms if one["starts"] <= str(today)), key=lambda one: str(one["starts"]))
    return date.fromisoformat(begun["starts"]), min(today, date.fromisoformat(begun["ends"]) - timedelta(days=1))


def shoot(url: str, mailbox: str, folder: Path) -> None:
    """The pages of the demo parent and the mailbox, as PNG of a phone's size at twice its density."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        phone = browser.new_context(locale="fr-FR", viewport=_PHONE, device_scale_factor=2)  # type: ignore[arg-type]
        page = phone.new_page()
        page.goto(f"{url}/connexion")
        page.fill("#login", demo_school.PARENT.login)
        page.fill("#password", demo_school.PASSWORD)
        page.click("main button[type=submit]")
        _shot(page, folder / "family.png")
        page.goto(f"{url}/notes?enfant={demo_school.PUPIL.id}")
        _shot(page, folder / "grades.png")
        page.goto(mailbox)
        _keep(page, folder / "mailbox.png")
        browser.close()


def _shot(page: Page, path: Path) -> None:
    page.locator('#state[data-state="live"]').wait_for()
    _keep(page, path)


def _keep(page: Page, path: Path) -> None:
    # In few colours a picture weighs a third, and nobody sees it.
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Fill and shoot."""
    running = RunningHome.of(Home.default())
    fill(Api(running.url, running.operator_token()))
    shoot(running.url, str((ask(running.home, "status") or {})["mailbox"]), IMAGES)


if __name__ == "__main__":
    main()
