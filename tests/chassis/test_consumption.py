"""What a consumer knows of the partitions it holds while other processes come and go."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from chassis.consumer import Consumption


def record(partition: int, offset: int) -> ConsumerRecord:
    return ConsumerRecord("topic", partition, offset, 0, 0, b"key", b"{}", None, 3, 2, ())


async def test_records_follow_what_this_process_did_last() -> None:
    consumption = Consumption("follower")
    assert not consumption.follows([record(0, 5)])
    consumption.done([record(0, 5), record(0, 6), record(1, 40)])
    assert consumption.follows([record(0, 7), record(0, 8)])
    assert consumption.follows([record(1, 41), record(0, 7)])
    # Another process went from 7 to 11, or this one is asked to do 6 again.
    assert not consumption.follows([record(1, 41), record(0, 12)])
    assert not consumption.follows([record(0, 6)])
    assert not consumption.follows([record(2, 0)])
