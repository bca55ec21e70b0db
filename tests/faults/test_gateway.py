"""Gateway workers are killed with streams open: clients go on by their cursors, at whichever worker."""

from __future__ import annotations

from cli import demo_school as school
from cli.demo.stage import Stage
from tests.faults.judging import judge
from tests.faults.lengths import Lengths
from tests.faults.load import load
from tests.faults.processes import killed
from tests.platform import Platform


async def test_all_workers_are_killed(platform: Platform, stage: Stage, lengths: Lengths) -> None:
    reader = stage.reader(school.PARENT)
    async with load(stage) as posting:
        await posting.more(lengths.posts)
        before = reader.connections
        await killed(platform, "gateway-1", "gateway-2")
        await posting.more(lengths.posts)
    await judge(platform, stage)
    assert reader.connections > before, "her stream was at neither of them"
    assert not [note for note in stage.notes.news if note.name == "reset"]
