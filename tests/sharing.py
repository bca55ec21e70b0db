"""How workers share the tests: one has all that stand on the one platform, and no file is torn apart."""

from __future__ import annotations

from xdist.scheduler.loadscope import LoadScopeScheduling

ON_THE_PLATFORM = ("tests/journeys/", "tests/browser/", "tests/abuse/", "tests/faults/")
"""Where tests are that use the fixture `platform`: a worker that met one would start a platform of its own."""


class Sharing(LoadScopeScheduling):
    """Hands out files, and the tests on the platform as if they were one file, which is the first since it is the longest."""

    def _split_scope(self, nodeid: str) -> str:
        return "platform" if nodeid.startswith(ON_THE_PLATFORM) else nodeid.partition("::")[0]
