"""The due heap: derived state that may be lost, doubled or late, but never early."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.streams.due_heap import CHECK_AGAIN_MS, DueHeap

HORIZON_MS = 10_000


def taken(heap: DueHeap, now_ms: int, partitions: tuple[int, ...] = (0,)) -> list[bytes]:
    return [key for _, key, _ in heap.take_due(now_ms, partitions)]


def test_a_firing_that_changed_nothing_but_the_row_is_not_sent_again_at_once() -> None:
    """The fold was told, and its row says that it is not time yet by the broker's clock."""
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", 100, now_ms=0)
    assert taken(heap, 100) == [b"a"]
    heap.set(0, b"a", 100, now_ms=101)
    assert taken(heap, 101) == []
    assert taken(heap, 100 + CHECK_AGAIN_MS) == [b"a"]


def test_a_timer_is_taken_when_it_is_due_and_not_before() -> None:
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", 100, now_ms=0)
    assert taken(heap, 99) == []
    assert taken(heap, 100) == [b"a"]


def test_a_timer_that_is_still_due_is_taken_again_after_a_while() -> None:
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", 100, now_ms=0)
    assert taken(heap, 100) == [b"a"]
    assert taken(heap, 101) == []
    assert taken(heap, 100 + CHECK_AGAIN_MS) == [b"a"]


def test_a_timer_that_moved_is_taken_at_its_new_time_only() -> None:
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", 100, now_ms=0)
    heap.set(0, b"a", 500, now_ms=0)
    assert taken(heap, 499) == []
    assert taken(heap, 500) == [b"a"]
    heap.set(0, b"a", 0, now_ms=500)
    assert taken(heap, 90_000) == []


def test_timers_of_partitions_that_were_lost_are_dropped() -> None:
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", 100, now_ms=0)
    heap.set(1, b"b", 100, now_ms=0)
    assert taken(heap, 100, partitions=(1,)) == [b"b"]
    assert taken(heap, 90_000, partitions=(0,)) == []


def test_times_beyond_the_horizon_are_not_kept() -> None:
    heap = DueHeap(HORIZON_MS)
    heap.set(0, b"a", HORIZON_MS + 1, now_ms=0)
    assert len(heap) == 0


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 200)), max_size=40))
def test_what_is_due_is_always_found_and_nothing_else(changes: list[tuple[bytes, int]]) -> None:
    heap, wanted = DueHeap(HORIZON_MS), {}
    for key, due_ms in changes:
        heap.set(0, key, due_ms, now_ms=0)
        wanted[key] = due_ms
    for now_ms in (50, 100, 150, 200):
        expected = {key for key, due_ms in wanted.items() if due_ms and due_ms <= now_ms}
        found = set(taken(heap, now_ms))
        assert found <= expected
        for key in found:
            heap.set(0, key, 0, now_ms=now_ms)
            wanted[key] = 0
        assert not expected - found
