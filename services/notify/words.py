"""What a message says, in the reader's language: a subject line and a few lines. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.notify.domain import Says
from services.notify.letters import Letter
from wording import grades

_NARROW = "\u202f"


@dataclass(frozen=True, slots=True)
class Words:
    """A message in words: its subject, what happened in a sentence, the details line by line, the foot's two links."""

    subject: str
    headline: str
    details: list[str]
    greeting: str
    read: str
    preferences: str


def words(letter: Letter) -> Words:
    """Word a letter."""
    return _french(letter) if letter.language == "fr" else _english(letter)


def _french(letter: Letter) -> Words:
    child, subject = letter.child or "Votre enfant", letter.fact.assessment.subject.label
    mark = _mark(letter, "fr")
    subjects = {
        Says.NEW: f"{child} · {subject}{_NARROW}: {mark}",
        Says.CORRECTED: f"{child} · {subject}{_NARROW}: note corrigée, {mark}",
        Says.WITHDRAWN: f"{child} · {subject}{_NARROW}: note retirée",
    }
    headlines = {
        Says.NEW: f"{child} a une nouvelle note en {subject}{_NARROW}: {mark}.",
        Says.CORRECTED: f"Une note de {child} en {subject} a été corrigée{_NARROW}: {_was(letter, 'fr')}{mark}.",
        Says.WITHDRAWN: f"Une note de {child} en {subject} a été retirée{_NARROW}: elle ne compte plus.",
    }
    return Words(
        subject=subjects[letter.says],
        headline=headlines[letter.says],
        details=_details(letter, "fr"),
        greeting="Bonjour,",
        read="Voir dans Préau",
        preferences="Choisir ce que je reçois",
    )


def _english(letter: Letter) -> Words:
    child, subject = letter.child or "Your child", letter.fact.assessment.subject.label
    mark = _mark(letter, "en")
    subjects = {
        Says.NEW: f"{child} · {subject}: {mark}",
        Says.CORRECTED: f"{child} · {subject}: grade corrected, {mark}",
        Says.WITHDRAWN: f"{child} · {subject}: grade withdrawn",
    }
    headlines = {
        Says.NEW: f"{child} has a new grade in {subject}: {mark}.",
        Says.CORRECTED: f"A grade of {child} in {subject} was corrected: {_was(letter, 'en')}{mark}.",
        Says.WITHDRAWN: f"A grade of {child} in {subject} was withdrawn: it no longer counts.",
    }
    return Words(
        subject=subjects[letter.says],
        headline=headlines[letter.says],
        details=_details(letter, "en"),
        greeting="Hello,",
        read="See it in Préau",
        preferences="Choose what I receive",
    )


def _mark(letter: Letter, language: str) -> str:
    if letter.fact.mark is None:
        return ""
    return grades.mark(letter.fact.mark, letter.fact.assessment.out_of, language)


def _was(letter: Letter, language: str) -> str:
    if letter.before is None or letter.before == letter.fact.mark:
        return ""
    return f"{grades.mark(letter.before, letter.fact.assessment.out_of, language)} → "


def _details(letter: Letter, language: str) -> list[str]:
    if letter.fact.mark is None:
        return [letter.fact.assessment.title]
    text = grades.grade_summary(letter.fact.assessment, letter.fact.mark, None)
    return (text.fr if language == "fr" else text.en).split("\n")
