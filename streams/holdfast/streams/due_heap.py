"""When which workflow has something due. Derived state: rebuilt from rows, never the truth."""

import heapq
from collections.abc import Collection, Iterator

CHECK_AGAIN_MS = 2_000
"""A firing that changed nothing (lost, or early by the broker's clock) is sent again after this time."""


class DueHeap:
    """The earliest timer of each workflow, by partition. Times are ms since 1970; all methods are synchronous."""

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._due: dict[bytes, int] = {}
        self._queued: dict[bytes, int] = {}
        self._heaps: dict[int, list[tuple[int, bytes]]] = {}

    def __len__(self) -> int:
        return len(self._due)

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._queued.clear()
        self._heaps.clear()

    def set(self, partition: int, key: bytes, due_ms: int, now_ms: int) -> bool:
        """Say when a workflow's next timer is due, 0 for none. True if it is the earliest of its partition.

        Times beyond the horizon are not kept: whoever owns the rows says them again later.
        """
        if not due_ms or due_ms > now_ms + self._horizon_ms:
            self._due.pop(key, None)
            return False
        if self._due.get(key) == due_ms and key in self._queued:
            return False  # nothing new: a firing that changed nothing but the row is sent again after a while
        self._due[key] = due_ms
        if self._queued.get(key, due_ms + 1) <= due_ms:
            return False  # an earlier look at this workflow is queued and will find the new time
        return self._push(partition, key, due_ms)

    def take_due(self, now_ms: int, partitions: Collection[int]) -> Iterator[tuple[int, bytes, int]]:
        """Yield (partition, key, due time) of every timer due in these partitions; drop all other partitions."""
        for partition in [p for p in self._heaps if p not in partitions]:
            for _, key in self._heaps.pop(partition):
                self._due.pop(key, None)
                self._queued.pop(key, None)
        for partition, heap in self._heaps.items():
            while heap and heap[0][0] <= now_ms:
                look_ms, key = heapq.heappop(heap)
                if self._queued.get(key) != look_ms:
                    continue
                del self._queued[key]
                due_ms = self._due.get(key)
                if due_ms is None:
                    continue
                if due_ms > now_ms:
                    self._push(partition, key, due_ms)
                    continue
                self._push(partition, key, now_ms + CHECK_AGAIN_MS)
                yield partition, key, due_ms

    def next_look_ms(self, default_ms: int) -> int:
        """When `take_due` may next have something to yield."""
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=default_ms)

    def _push(self, partition: int, key: bytes, look_ms: int) -> bool:
        heap = self._heaps.setdefault(partition, [])
        heapq.heappush(heap, (look_ms, key))
        self._queued[key] = look_ms
        return heap[0][1] == key
