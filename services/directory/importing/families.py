"""Family links of a set: who is tied to whom, whichever of the two the source names it on."""

from __future__ import annotations

from services.directory.importing.report import Report, Severity
from services.directory.importing.sets import SchoolSet

KIN = ("relative", "guardian", "parent")
"""Roles of an adult in a family, from the one that says least."""


def link(found: SchoolSet, report: Report) -> None:
    """Fill `found.links` from `agentSourcedIds`.

    The direction is not fixed, so a pair is taken where one end is a student and the other a parent, guardian or
    relative, and reported where neither or both readings hold.
    """
    counts = report.counts["links"]
    for user, record in found.users.items():
        told = report.concerns(user)
        for agent in record.agents:
            counts.read += told
            if agent not in found.users:
                counts.pending += told
                found.partial.update((user, agent) if agent in found.unread else ())
                _report(report, "agent-not-in-set", user)
            else:
                _tie(found, user, agent, report)


def _tie(found: SchoolSet, user: str, agent: str, report: Report) -> None:
    readings = [(p, a) for p, a in ((user, agent), (agent, user)) if found.is_a(p, "student") and _kin(found, a, p)]
    if len(readings) != 1 or user == agent:
        report.counts["links"].rejected += report.concerns(user)
        if {user, agent} & found.partial:
            # A role that could not be read may be the one that makes them a family.
            found.partial.update((user, agent))
        _report(report, "agent-not-family" if not readings else "agent-ambiguous", user)
        return
    pupil, adult = readings[0]
    kin = _kin(found, adult, pupil)
    if len(kin) > 1:
        _report(report, "kin-role-ambiguous", adult)
    found.links.setdefault(pupil, {})[adult] = kin[0]


def _kin(found: SchoolSet, adult: str, pupil: str) -> list[str]:
    """The adult's family roles, least first: those held at a school of the pupil if any, else those held anywhere."""
    held = [h for h in found.roles.get(adult, ()) if h.role in KIN]
    schools = {h.uai for h in found.roles.get(pupil, ()) if h.role == "student"}
    names = {h.role for h in held if h.uai and h.uai in schools} or {h.role for h in held}
    return sorted(names, key=KIN.index)


def _report(report: Report, code: str, user: str) -> None:
    if report.concerns(user):
        report.add(Severity.WARNING, code, "users.csv", id=user, field="agentSourcedIds")
