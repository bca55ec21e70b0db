"""Dealing: how partitions are dealt out among the processes of a service, so that those with more to do elsewhere get fewer.

Kafka deals out each group's partitions by itself and knows nothing of the others. Here every group of a service deals to the
processes in the order of their names: a topic of one partition is the first one's, and a group that lets the first off
counts that in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


def dealer(process: str, let_off: float = 0.0) -> type[RoundRobinPartitionAssignor]:
    """What deals a group's partitions out, for the process of this name; all of the group give the same `let_off`.

    `let_off` is what the first process does beside, measured in all the work that is dealt out here.
    """

    class Dealer(RoundRobinPartitionAssignor):
        name = "preau"

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), process.encode())

        @classmethod
        def assign(
            cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            order = sorted(members, key=lambda member: (members[member].user_data, member))
            dealt: dict[str, list[tuple[str, list[int]]]] = {member: [] for member in order}
            for topic in sorted({topic for one in members.values() for topic in one.subscription}):
                readers = [member for member in order if topic in members[member].subscription]
                partitions = sorted(cluster.partitions_for_topic(topic) or ())
                for reader, share in zip(readers, shares(partitions, len(readers), let_off), strict=True):
                    dealt[reader].append((topic, share))
            return {
                member: ConsumerProtocolMemberAssignment(cls.version, topics, b"") for member, topics in dealt.items()
            }

    return Dealer


def shares(partitions: Sequence[int], processes: int, let_off: float) -> list[list[int]]:
    """Which partitions each process has; with work of its own, the first has so many fewer that all have as much to do."""
    everything = len(partitions)
    if processes == 1:
        return [list(partitions)]
    first = (
        max(0, round(everything * ((1 + let_off) / processes - let_off))) if let_off else -(-everything // processes)
    )
    dealt: list[list[int]] = [list(partitions[:first])] + [[] for _ in range(processes - 1)]
    for share, partition in zip(cycle(dealt[1:]), partitions[first:], strict=False):
        share.append(partition)
    return dealt
