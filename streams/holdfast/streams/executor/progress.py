"""Which offset of a partition may be committed, when its records are finished in any order."""

from collections import deque
from dataclasses import dataclass, field

from aiokafka import TopicPartition


@dataclass(slots=True, eq=False)
class PartitionProgress:
    """The records of one partition that were taken and are not finished, for one assignment of the partition.

    Offsets may have gaps. A record of a past assignment still finishes on the object of that assignment, where it has
    no effect: the new owner decides.
    """

    partition: TopicPartition
    committed: int = -1
    position: int = -1
    _open: deque[int] = field(default_factory=deque)
    _done: set[int] = field(default_factory=set)

    def take(self, offset: int) -> None:
        """A record was handed out; offsets must be given in order."""
        self._open.append(offset)

    def finish(self, offset: int) -> None:
        """A record needs no repeat; `position` moves past all finished records that no unfinished one precedes."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.discard(first)
            self.position = first + 1

    def __len__(self) -> int:
        return len(self._open)
