"""The teacher's desk: posts grades through the public API and enters each write into the checker's ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from cli.demo.checker import Ledger, Write
from cli.demo.client import Api
from cli.demo.reader import grade_key

OUT_OF = 20
AUDIENCES = ("pupils", "guardians")


@dataclass
class Assessment:
    """An assessment as the desk knows it; `due` has each audience's time, None for at once."""

    id: str
    title: str
    due: dict[str, float | None]
    scores: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Posted:
    """A write that was answered: when it was sent and when the answer came, and how often it was sent."""

    begun: float
    acknowledged: float
    attempts: int


@dataclass
class Desk:
    """What a teacher has at hand: a group, its pupils, a day of the term."""

    api: Api
    ledger: Ledger
    group: str
    pupils: list[str]
    day: date

    async def assessment(self, title: str, *, guardians_due: float | None = None) -> Assessment:
        """A published assessment without marks: what is marked from now on is told at once, or when it is due."""
        due = datetime.fromtimestamp(guardians_due, UTC).isoformat() if guardians_due else None
        body = {"group": self.group, "title": title, "held_on": self.day.isoformat(), "out_of": OUT_OF}
        if due:
            body["due"] = {"guardians": due}
        made = await self.api.post("/v1/assessments", body)
        await self.api.post(f"/v1/assessments/{made['id']}/publication")
        return Assessment(made["id"], title, {"pupils": None, "guardians": guardians_due})

    async def mark(
        self,
        assessment: Assessment,
        scores: Mapping[str, Decimal],
        *,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Posted:
        """Post marks in one request; entered as acknowledged once it is answered, and as unknown where it never was."""
        marks = [{"pupil": pupil, "score": str(score)} for pupil, score in scores.items()]
        body = {"marks": marks, **({"reason": reason} if reason else {})}
        states = {pupil: shown(score) for pupil, score in scores.items()}
        posted = await self._write(assessment, states, "POST", "marks", body, headers)
        assessment.scores |= scores
        return posted

    async def withdraw(self, assessment: Assessment, pupil: str) -> Posted:
        """Withdraw one pupil's mark."""
        return await self._write(assessment, {pupil: None}, "DELETE", f"marks/{pupil}")

    async def withdraw_all(self, assessment: Assessment) -> Posted:
        """Withdraw the assessment with all its marks."""
        return await self._write(assessment, dict.fromkeys(assessment.scores), "POST", "withdrawal")

    async def _write(
        self,
        assessment: Assessment,
        states: Mapping[str, str | None],
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Posted:
        begun, acknowledged, attempts = time.time(), None, 0
        try:
            answer = await self.api.call(method, f"/v1/assessments/{assessment.id}/{path}", body, headers=headers)
            acknowledged, attempts = time.time(), answer.attempts
        finally:
            self._enter(assessment, states, begun, acknowledged)
        return Posted(begun, acknowledged, attempts)

    def class_scores(self, least: Decimal, step: Decimal = Decimal("0.25")) -> dict[str, Decimal]:
        """A score for every pupil, from `least` on, within the scale."""
        return {pupil: (least + n * step) % OUT_OF for n, pupil in enumerate(self.pupils)}

    def _enter(
        self, assessment: Assessment, states: Mapping[str, str | None], begun: float, acknowledged: float | None
    ) -> None:
        for pupil, state in states.items():
            scope = f"pupils/{pupil}"
            key = grade_key(assessment.title, scope)
            self.ledger.writes.append(Write(key, scope, state, begun, acknowledged, assessment.due))


def shown(score: Decimal) -> str:
    """A score as French families read it: 14,5/20."""
    plain = format(score.normalize(), "f").replace(".", ",")
    return f"{plain}/{OUT_OF}"
