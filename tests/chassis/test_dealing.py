"""Dealing partitions out: each to one process, evenly, counting what the first does beside."""

from __future__ import annotations

from typing import Any

from faststream.kafka.message import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from hypothesis import given
from hypothesis import strategies as st

from chassis.consumer import broker, subscribe
from chassis.dealing import dealer, shares


class Cluster:
    """As many partitions as each topic has."""

    def __init__(self, **topics: int) -> None:
        self.topics = topics

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.topics[topic])) if topic in self.topics else None


@given(st.integers(0, 40), st.integers(1, 8), st.sampled_from((0.0, 0.5, 1.0, 3.0)))
def test_each_partition_has_one_process_and_the_work_is_even(count: int, processes: int, let_off: float) -> None:
    dealt = shares(range(count), processes, let_off)
    assert sorted(partition for share in dealt for partition in share) == list(range(count))
    assert len(dealt) == processes
    first, others = len(dealt[0]), [len(share) for share in dealt[1:]]
    if others:
        assert max(others) - min(others) <= 1
        assert first == 0 or abs(first + let_off * count - max(others)) <= 2


def dealt(members: dict[str, tuple[str, list[str]]], let_off: float, **topics: int) -> dict[str, dict[str, list[int]]]:
    told = {member: dealer(name, let_off).metadata(read) for member, (name, read) in members.items()}
    cluster: Any = Cluster(**topics)
    found = dealer("any", let_off).assign(cluster, told)
    return {member: dict(one.assignment) for member, one in found.items()}


def test_processes_are_in_the_order_of_their_names_in_every_group() -> None:
    one = {"b-1": ("feed-1", ["feed"]), "a-2": ("feed-2", ["feed"])}
    assert dealt(one, 0, feed=1) == {"b-1": {"feed": [0]}, "a-2": {"feed": []}}
    two = {"y-1": ("feed-1", ["grades"]), "x-2": ("feed-2", ["grades"])}
    assert dealt(two, 0.5, grades=4) == {"y-1": {"grades": [0]}, "x-2": {"grades": [1, 2, 3]}}


def test_a_topic_is_dealt_to_who_reads_it() -> None:
    members = {"a": ("1", ["grades"]), "b": ("2", ["grades", "news"])}
    assert dealt(members, 0, grades=2, news=2, other=1) == {
        "a": {"grades": [0]},
        "b": {"grades": [1], "news": [0, 1]},
    }


def test_a_group_is_joined_by_one_strategy() -> None:
    # aiokafka 0.14 joins anew for each it is given, in one attempt: two processes that start together never end joining.
    source = broker("localhost:9")

    @subscribe(source, "grades", group="feed", dealer=dealer("feed-1"))
    async def taken(_: KafkaMessage) -> None: ...

    (subscriber,) = source.subscribers
    assert isinstance(subscriber, BatchSubscriber)
    assert [one.name for one in subscriber._connection_args["partition_assignment_strategy"]] == ["preau"]
