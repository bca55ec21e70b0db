"""What an import did, or would do: counts per kind and a line per problem, never a name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

MAX_PROBLEMS = 10_000
"""Problems kept as lines; beyond it only the count per code grows."""
MAX_CHANGES = 200
"""Changes kept as lines."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Severity(StrEnum):
    """A refusal stops the whole set, a rejection drops one record, a warning drops nothing."""

    REFUSAL = "refusal"
    REJECTED = "rejected"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a set; `record` counts the data rows of the file from 1 (0 is the header)."""

    severity: Severity
    code: str
    file: str
    record: int | None = None
    id: str | None = None
    field: str | None = None


@dataclass(slots=True)
class Counts:
    """Of one kind: how many were read, and what became of them."""

    read: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    detached: int = 0
    rejected: int = 0
    pending: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name, in the order they are printed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Detaching:
    """How many people of a school would lose one kind of place (a role, their only class, their only guardian)."""

    uai: str
    kind: str
    lost: int
    of: int
    """How many have it now."""
    refused: bool


KINDS = ("schools", "sessions", "courses", "groups", "people", "roles", "enrolments", "links")


@dataclass(slots=True)
class Report:
    """The report of one import; the same from a dry run, except `dry_run` and `position`."""

    dry_run: bool = False
    source: str = ""
    counts: dict[str, Counts] = field(default_factory=lambda: {kind: Counts() for kind in KINDS})
    problems: list[Problem] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    changes: list[tuple[str, str]] = field(default_factory=list)
    """The first few (what happened, record key)."""
    detaching: list[Detaching] = field(default_factory=list)
    about: frozenset[str] | None = None
    """Ids a delta speaks of; what is amiss with any other was told when it came in. None: everything."""
    refused: bool = False
    position: int | None = None
    """The directory's position once the import is in; None for a dry run or a refused set."""

    def add(
        self,
        severity: Severity,
        code: str,
        file: str,
        *,
        record: int | None = None,
        id: str | None = None,
        field: str | None = None,
    ) -> None:
        """Note a problem; a refusal marks the whole set."""
        self.refused = self.refused or severity is Severity.REFUSAL
        self.codes[code] += 1
        # A refusal is always shown: it is why nothing was written.
        if len(self.problems) < MAX_PROBLEMS or severity is Severity.REFUSAL:
            self.problems.append(Problem(severity, code, _clean(file) or "", record, _clean(id), _clean(field)))

    def concerns(self, id: str) -> bool:
        """Whether the set at hand speaks of this user."""
        return self.about is None or id in self.about

    def refuse(self, code: str, file: str, *, record: int | None = None, field: str | None = None) -> None:
        """Note what makes the whole set unfit."""
        self.add(Severity.REFUSAL, code, file, record=record, field=field)

    def change(self, what: str, key: str) -> None:
        """Note one change, as long as there is room."""
        if len(self.changes) < MAX_CHANGES:
            self.changes.append((what, key))

    @property
    def left_out(self) -> int:
        """Problems counted in `codes` for which no line was kept."""
        return self.codes.total() - len(self.problems)

    @property
    def needs_confirmation(self) -> bool:
        """Whether the safety stop alone refused the set, so that confirming lets it through."""
        return any(d.refused for d in self.detaching)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "dry_run": self.dry_run,
            "source": self.source,
            "refused": self.refused,
            "needs_confirmation": self.needs_confirmation,
            "position": self.position,
            "counts": {kind: counts.as_dict() for kind, counts in self.counts.items()},
            "codes": dict(sorted(self.codes.items())),
            "problems": [{n: getattr(p, n) for n in p.__slots__ if getattr(p, n) is not None} for p in self.problems],
            "problems_left_out": self.left_out,
            "detaching": [{f.name: getattr(d, f.name) for f in fields(d)} for d in self.detaching],
            "changes": [{"what": what, "key": key} for what, key in self.changes],
        }


def _clean(text: str | None) -> str | None:
    """What a stranger's file says is printed on terminals: no control characters, no endless cell."""
    return None if text is None else _CONTROL.sub("?", text)[:255]


def repeated(document: Mapping[str, Any]) -> Report:
    """The report of a set that says again what it said when it was reported as in `document`: nothing has changed."""
    report = Report(source=document["source"], codes=Counter(document["codes"]))
    for kind, counts in document["counts"].items():
        found = Counts(**counts)
        found.unchanged += found.created + found.changed
        found.created = found.changed = found.detached = 0
        report.counts[kind] = found
    for problem in document["problems"]:
        report.problems.append(Problem(**{**problem, "severity": Severity(problem["severity"])}))
    return report
