"""From a change of what an audience may see to the event that tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from chassis.outbox import Outgoing, Stamp, outgoing
from contracts import grades
from contracts.directory import Subject
from contracts.envelope import Audience
from services.grades.domain import Change, Disclosure, Mark, Told, grade_id
from services.grades.store import Assessment, Standing


def events_of(assessment: Assessment, changes: Sequence[Change], directory_position: int) -> list[Outgoing]:
    """The event of each change, ready for the outbox: keyed by the pupil, for one audience.

    What the events have in common is made once: the reference, and a pupil's grade and mark for all audiences.
    """
    reference, stamp = _reference(assessment), Stamp.now()
    ids = {pupil: grade_id(assessment.id, pupil) for pupil in {change.pupil for change in changes}}
    marks = {pupil: _mark(mark) for pupil, mark in {change.pupil: change.mark for change in changes}.items()}
    made = []
    for change in changes:
        pupil = change.pupil
        fact = _event(reference, assessment.uai, change, assessment.now, ids[pupil], marks[pupil])
        made.append(_ready(fact, assessment.uai, directory_position, stamp))
    return made


def event_again(standing: Standing, directory_position: int) -> Outgoing:
    """The event by which an audience was told what it sees now, as it was: its id, its time, what it corrected."""
    told = standing.disclosure
    corrected = standing.supersedes is not None or standing.updated_at > told.first_published_at
    # Where it was not kept what a correction replaced, nothing is said of it.
    old = Disclosure(
        standing.old or told.mark, told.assessment_version, standing.supersedes or told.event, told.first_published_at
    )
    kind, before = (Told.CORRECTED, old) if corrected else (Told.PUBLISHED, None)
    change = Change(kind, standing.pupil, standing.audience, before, told.mark)
    uai = standing.assessment.uai
    grade, mark = grade_id(standing.assessment.id, standing.pupil), _mark(told.mark)
    fact = _event(_reference(standing.assessment), uai, change, standing.updated_at, grade, mark)
    event = _ready(fact, uai, directory_position, Stamp.now())
    return replace(event, envelope=event.envelope._replace(id=str(told.event), time=standing.updated_at))


_Fact: TypeAlias = grades.GradePublished | grades.GradeCorrected | grades.GradeWithdrawn


def _ready(fact: _Fact, uai: str, directory_position: int, stamp: Stamp) -> Outgoing:
    return outgoing(
        grades.TOPIC,
        fact,
        source=grades.SOURCE,
        key=grades.pupil_key(fact.pupil),
        uai=uai,
        audience=fact.audience,
        directory_position=directory_position,
        stamp=stamp,
    )


def _event(
    reference: grades.AssessmentRef, uai: str, change: Change, at: datetime, grade: UUID, mark: grades.Mark | None
) -> _Fact:
    pupil, audience = change.pupil, Audience(change.audience)
    if change.told is Told.PUBLISHED:
        assert mark is not None
        return grades.GradePublished(
            grade=grade, pupil=pupil, uai=uai, audience=audience, assessment=reference, at=at, mark=mark
        )
    before = change.old
    assert before is not None
    if change.told is Told.WITHDRAWN:
        return grades.GradeWithdrawn(
            grade=grade, pupil=pupil, uai=uai, audience=audience, assessment=reference, at=at, withdraws=before.event
        )
    old = _mark(before.mark)
    assert old is not None
    assert mark is not None
    return grades.GradeCorrected(
        grade=grade,
        pupil=pupil,
        uai=uai,
        audience=audience,
        assessment=reference,
        at=at,
        old=old,
        new=mark,
        supersedes=before.event,
        first_published_at=before.first_published_at,
    )


def _mark(mark: Mark | None) -> grades.Mark | None:
    if mark is None:
        return None
    code = None if mark.code is None else grades.GradeCode(mark.code)
    return grades.Mark(score=mark.score, code=code, comment=mark.comment)


def _reference(assessment: Assessment) -> grades.AssessmentRef:
    return grades.AssessmentRef(
        id=assessment.id,
        title=assessment.title,
        subject=Subject(code=assessment.subject_code, label=assessment.subject_label),
        group=UUID(str(assessment.group)),
        school_year=assessment.school_year,
        term=UUID(str(assessment.term)),
        held_on=assessment.held_on,
        out_of=assessment.out_of,
        coefficient=assessment.coefficient,
        optional=assessment.optional,
        bonus=assessment.bonus,
    )
