"""From a change of what an audience may see to the event that tells it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from chassis.outbox import Outgoing, outgoing
from contracts import grades
from contracts.directory import Subject
from contracts.envelope import Audience
from services.grades.domain import Change, Disclosure, Mark, Told, grade_id
from services.grades.store import Assessment, Standing


def event_of(assessment: Assessment, change: Change, directory_position: int) -> Outgoing:
    """The event, ready for the outbox: keyed by the pupil, for one audience."""
    return _ready(_event(assessment, change, assessment.now), assessment.uai, directory_position)


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
    event = _ready(
        _event(standing.assessment, change, standing.updated_at), standing.assessment.uai, directory_position
    )
    return replace(event, envelope=event.envelope._replace(id=str(told.event), time=standing.updated_at))


_Fact: TypeAlias = grades.GradePublished | grades.GradeCorrected | grades.GradeWithdrawn


def _ready(fact: _Fact, uai: str, directory_position: int) -> Outgoing:
    return outgoing(
        grades.TOPIC,
        fact,
        source=grades.SOURCE,
        key=grades.pupil_key(fact.pupil),
        uai=uai,
        audience=fact.audience,
        directory_position=directory_position,
    )


def _event(assessment: Assessment, change: Change, at: datetime) -> _Fact:
    grade, pupil = grade_id(assessment.id, change.pupil), change.pupil
    audience, reference = Audience(change.audience), _reference(assessment)
    uai = assessment.uai
    if change.told is Told.PUBLISHED:
        assert change.mark is not None
        return grades.GradePublished(
            grade=grade, pupil=pupil, uai=uai, audience=audience, assessment=reference, at=at, mark=_mark(change.mark)
        )
    before = change.old
    assert before is not None
    if change.told is Told.WITHDRAWN:
        return grades.GradeWithdrawn(
            grade=grade, pupil=pupil, uai=uai, audience=audience, assessment=reference, at=at, withdraws=before.event
        )
    assert change.mark is not None
    return grades.GradeCorrected(
        grade=grade,
        pupil=pupil,
        uai=uai,
        audience=audience,
        assessment=reference,
        at=at,
        old=_mark(before.mark),
        new=_mark(change.mark),
        supersedes=before.event,
        first_published_at=before.first_published_at,
    )


def _mark(mark: Mark) -> grades.Mark:
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
