"""The steps of the demo, each a short scene: what is done through the public API, and what must be seen for it."""

from __future__ import annotations

import time
from decimal import Decimal

from cli import demo_school as school
from cli.demo.checker import Right
from cli.demo.reader import state_of
from cli.demo.stage import Stage, StepFailed

DUE_LATER_SECONDS = 4.0
ON_TIME_SECONDS = 1.0


async def class_graded(stage: Stage) -> str:
    """A teacher posts a class's grades: each guardian's stream shows their own child's"""
    title = stage.title("Contrôle de fractions")
    desk = stage.desks["6e1"]
    assessment = await desk.assessment(title)
    scores = desk.class_scores(Decimal(8)) | {str(school.PUPIL.id): Decimal("14.5")}
    posted = await desk.mark(assessment, scores)
    stage.posted_at = posted.begun
    await stage.expect_all("everyone who may see a grade has it")
    for person in (school.PARENT, school.SEPARATED, school.PUPIL):
        if stage.got(person, title) != ["14,5/20"]:
            raise StepFailed(f"{person.given_name} saw {stage.got(person, title)}")
    return f"{len(scores)} grades in one request, answered in {1000 * (posted.acknowledged - posted.begun):.0f} ms"


async def strangers_see_nothing(stage: Stage) -> str:
    """A person without the right sees nothing"""
    title = stage.title("Interrogation")
    for name, pupil in (("6e1", school.PUPIL), ("4e2", school.BROTHER)):
        desk = stage.desks[name]
        await _post(stage, name, title, {p: Decimal(11) for p in desk.pupils})
        await stage.expect_all(f"{pupil.given_name}'s family has the grade")
    for person in (school.CONTACT, school.IN_CHARGE):
        if stage.got(person, title):
            raise StepFailed(f"{person.given_name} saw {stage.got(person, title)}")
    if "11/20" not in stage.got(school.BROTHER, title) or stage.got(school.SEPARATED, title) != ["11/20"]:
        raise StepFailed("a family got another family's grade")
    return f"{school.CONTACT.given_name} and {school.IN_CHARGE.given_name} have open streams, and nothing on them"


async def _post(stage: Stage, name: str, title: str, scores: dict[str, Decimal]) -> None:
    desk = stage.desks[name]
    assessment = await desk.assessment(title)
    stage.posted_at = time.time()
    await desk.mark(assessment, scores)


async def due_later(stage: Stage) -> str:
    """A grade is due for pupils now, for guardians a little later"""
    title = stage.title("Devoir maison")
    desk, pupil = stage.desks["6e1"], str(school.PUPIL.id)
    due = time.time() + DUE_LATER_SECONDS
    assessment = await desk.assessment(title, guardians_due=due)
    stage.posted_at = time.time()
    await desk.mark(assessment, {pupil: Decimal(16)})
    await stage.expect(lambda: stage.got(school.PUPIL, title) == ["16/20"], "the pupil has it at once")
    if stage.got(school.PARENT, title):
        raise StepFailed("a guardian saw it before it was due")
    await stage.expect(lambda: bool(stage.got(school.PARENT, title)), "the guardians have it once it is due")
    seen = [one for one in stage.notes.seen if one.key.startswith(title) and one.scope.startswith("guardians:")]
    late = seen[0].at - due
    if not 0 <= late <= ON_TIME_SECONDS:
        raise StepFailed(f"the guardians had it {late:.3f} s after it was due")
    await stage.expect_all("every guardian has it")
    return f"the guardians had it {1000 * late:.0f} ms after it was due"


async def corrected(stage: Stage) -> str:
    """A correction replaces what stood there"""
    title = stage.title("Calcul mental")
    desk, pupil = stage.desks["6e1"], str(school.PUPIL.id)
    assessment = await desk.assessment(title)
    stage.posted_at = time.time()
    await desk.mark(assessment, {pupil: Decimal(9)})
    await stage.expect_all("the first mark is there")
    stage.posted_at = time.time()
    await desk.mark(assessment, {pupil: Decimal("12.5")}, reason="Erreur de total")
    await stage.expect_all("the correction is there")
    if stage.got(school.PARENT, title) != ["9/20", "12,5/20"]:
        raise StepFailed(f"the guardian saw {stage.got(school.PARENT, title)}")
    parent = stage.cast.members[school.PARENT.login].api

    async def history() -> bool:
        shown = [item for item in (await parent.get("/v1/feed"))["items"] if title in item["summary"]["fr"]]
        return [state_of(item) for item in shown] == ["12,5/20"] and shown[0]["corrected"]

    # The history is written beside the stream, not before it.
    await stage.poll(history, "the history shows one item, the corrected one")
    return "one item, now 12,5/20, and it says what it was before"


async def resumed_elsewhere(stage: Stage) -> str:
    """A dropped connection resumes at another gateway worker and misses nothing"""
    title = stage.title("Géométrie")
    desk, pupil = stage.desks["6e1"], str(school.PUPIL.id)
    reader = stage.reader(school.PARENT)
    worker = reader.worker
    await reader.hang_up()
    stage.tell("note", text=f"{reader.name}'s connection to worker {worker} is dropped; two writes meanwhile")
    assessment = await desk.assessment(title)
    stage.posted_at = time.time()
    await desk.mark(assessment, {pupil: Decimal(13)})
    await desk.mark(assessment, {pupil: Decimal(15)}, reason="Point oublié")
    reader.open(avoiding=worker)
    await stage.expect(lambda: bool(reader.worker), "the stream is open again")
    await stage.expect_all("what was missed has arrived")
    if reader.worker == worker:
        raise StepFailed(f"there is no other worker than {worker}")
    return f"from worker {worker} to {reader.worker}: {' then '.join(map(str, stage.got(school.PARENT, title)))}"


async def right_withdrawn(stage: Stage) -> str:
    """A guardian's right is withdrawn and their open stream falls silent; granted again, it speaks again"""
    pupil, person = str(school.PUPIL.id), school.SEPARATED
    link = f"/v1/pupils/{pupil}/guardians/{person.id}"
    operator, reader, scope = stage.cast.operator, stage.reader(person), f"guardians:pupils/{pupil}"
    links = (await operator.get(f"/v1/pupils/{pupil}/guardians"))["guardians"]
    granted = next(one for one in links if one["person"] == str(person.id))
    title = stage.title("Algèbre")
    try:
        asked = time.time()
        await operator.call("DELETE", link)
        stage.close_right(reader.name, scope)
        await stage.expect(lambda: _told(stage, reader.name, "scope-removed", scope, asked), "the stream says so", 5)
        silent = 1000 * (time.time() - asked)
        await _post(stage, "6e1", title, {pupil: Decimal(17)})
        await stage.expect_all("the other guardian has the grade")
        if stage.got(person, title):
            raise StepFailed(f"{reader.name} still saw {stage.got(person, title)}")
    finally:
        again = time.time()
        body = {name: granted[name] for name in ("kind", "starts", "ends")}
        await operator.call("PUT", link, body)
        stage.ledger.rights.append(Right(reader.name, scope, again))
    await stage.expect(lambda: _told(stage, reader.name, "scope-added", "", again), "the right is back", 5)
    await stage.expect_all("the page brings what was missed")
    return f"silent {silent:.0f} ms after the request; granted again, the page brought {stage.got(person, title)[-1]}"


def _told(stage: Stage, reader: str, name: str, scope: str, since: float) -> bool:
    return any(
        n.name == name and scope in n.words and n.reader.name == reader and n.at >= since for n in stage.notes.news
    )


STEPS = (class_graded, strangers_see_nothing, due_later, corrected, resumed_elsewhere, right_withdrawn)
"""All steps, in order; the first line of each's description is its title."""
