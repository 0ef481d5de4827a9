"""Which offsets may be committed while records finish in any order, and what is noted beside them."""

from random import Random

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from holdfast.streams.executor.progress import NOTE_LIMIT, PartitionProgress, note_of, noted_after


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


@given(first=st.integers(0, 10**12), behind=st.sets(st.integers(1, 20_000), max_size=200))
def test_what_is_noted_is_read_back(first: int, behind: set[int]) -> None:
    done = {first + offset for offset in behind}
    assert noted_after(first, note_of(first, done)) == done


def test_a_note_keeps_within_its_limit_and_then_has_the_earliest_offsets() -> None:
    done = {offset for offset in range(1, 200_000) if offset * offset % 7919 % 3}  # hardly to be compressed
    note = note_of(0, done)
    found = noted_after(0, note)
    assert len(note) <= NOTE_LIMIT
    assert 1_000 < len(found) < len(done)
    last = max(found)
    assert found == {offset for offset in done if offset <= last}


@pytest.mark.parametrize("note", ["", "somebody else's", "1:no such text\x00", "2:later", "1:"])
def test_a_note_that_is_not_ours_names_nothing(note: str) -> None:
    assert noted_after(5, note) == frozenset()


def test_what_is_finished_behind_a_record_that_waits_is_committed_and_not_taken_by_the_next_owner() -> None:
    progress = PartitionProgress(TopicPartition("t", 0))
    assert [progress.take(offset) for offset in range(10, 15)] == [True] * 5
    for offset in (10, 12, 13):
        progress.finish(offset)
    assert progress.to_commit() == (11, "")  # what moves is committed at once
    progress.committed, progress.noted = 11, ""
    found = progress.to_commit()
    assert found is not None
    progress.committed, progress.noted = found
    assert progress.to_commit() is None

    after = PartitionProgress(TopicPartition("t", 0), done_before=noted_after(*found))
    assert [offset for offset in range(11, 15) if after.take(offset)] == [11, 14]
    after.finish(11)
    assert after.position == 14


def test_what_was_finished_before_the_first_record_is_noted_at_its_place() -> None:
    progress = PartitionProgress(TopicPartition("t", 0))
    progress.take(7)
    progress.take(8)
    progress.finish(8)
    found = progress.to_commit()
    assert found is not None
    assert found[0] == 7
    assert noted_after(*found) == {8}
