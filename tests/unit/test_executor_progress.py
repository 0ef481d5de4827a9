"""Which offsets may be committed while records finish in any order."""

from random import Random

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from holdfast.streams.executor.progress import PartitionProgress


@given(offsets=st.lists(st.integers(0, 1_000), unique=True, min_size=1, max_size=40).map(sorted), order=st.randoms())
def test_the_position_is_just_before_the_first_unfinished_record_whatever_finishes_when(
    offsets: list[int], order: Random
) -> None:
    progress = PartitionProgress(TopicPartition("t", 0))
    for offset in offsets:
        progress.take(offset)
    open_ = set(offsets)
    for offset in order.sample(offsets, len(offsets)):
        progress.finish(offset)
        open_.discard(offset)
        finished = [o for o in offsets if o < min(open_, default=1_001)]
        assert progress.position == (finished[-1] + 1 if finished else -1)
    assert len(progress) == 0


def test_a_record_that_finishes_twice_or_was_never_taken_moves_nothing() -> None:
    progress = PartitionProgress(TopicPartition("t", 0))
    progress.take(5)
    progress.take(6)
    progress.finish(5)
    progress.finish(5)
    progress.finish(9)
    assert progress.position == 6
