"""Which offset of a partition may be committed, when its records are finished in any order.

A record that waits for long holds the position back. What is finished behind it is noted beside the position, so that
whoever gets the partition next does not do it again.
"""

import base64
import binascii
import zlib
from collections import deque
from dataclasses import dataclass, field

from aiokafka import TopicPartition

NOTE_LIMIT = 4_000
"""Characters of a note. Brokers take 4,096 bytes beside an offset; what does not fit is done again after a crash."""
_VERSION = "1:"


@dataclass(slots=True, eq=False)
class PartitionProgress:
    """The records of one partition that were taken and are not finished, for one assignment of the partition.

    Offsets may have gaps. A record of a past assignment still finishes on the object of that assignment, where it has
    no effect: the new owner decides. `committed` and `noted` are what the broker has.
    """

    partition: TopicPartition
    committed: int = -1
    noted: str = ""
    position: int = -1
    done_before: frozenset[int] = frozenset()
    _open: deque[int] = field(default_factory=deque)
    _done: set[int] = field(default_factory=set)

    def take(self, offset: int) -> bool:
        """A record was handed out; offsets must be given in order. False if an earlier owner has finished it."""
        self._open.append(offset)
        if offset in self.done_before:
            self.finish(offset)
            return False
        return True

    def finish(self, offset: int) -> None:
        """A record needs no repeat; `position` moves past all finished records that no unfinished one precedes."""
        self._done.add(offset)
        while self._open and self._open[0] in self._done:
            first = self._open.popleft()
            self._done.discard(first)
            self.position = first + 1

    def to_commit(self) -> tuple[int, str] | None:
        """The position and its note if the broker should have others than it has, else None.

        The note is made only while the position stands still: records that finish in a little disorder need none.
        """
        if self.position > self.committed:
            return self.position, ""
        if not self._open or not self._done:
            return None
        first = self._open[0]
        note = note_of(first, self._done)
        return None if (first, note) == (self.committed, self.noted) else (first, note)

    @property
    def open_range(self) -> tuple[int, int]:
        """The first offset that is not finished, and the last that was taken; only while there is one."""
        return self._open[0], self._open[-1]

    def __len__(self) -> int:
        return len(self._open)


def note_of(first: int, done: set[int]) -> str:
    """The offsets of `done` after `first` as text, the earliest ones if not all fit into NOTE_LIMIT."""
    behind = [offset - first for offset in done if offset > first]
    bits = bytearray(max(behind, default=0) // 8 + 1)
    for place in behind:
        bits[place >> 3] |= 1 << (place & 7)
    while True:
        text = _VERSION + base64.b85encode(zlib.compress(bytes(bits), 9)).decode()
        if len(text) <= NOTE_LIMIT:
            return text
        del bits[len(bits) // 2 :]


def noted_after(first: int, note: str) -> frozenset[int]:
    """The offsets that a note beside the position `first` names; none if it is not one of ours."""
    if not note.startswith(_VERSION):
        return frozenset()
    try:
        bits = zlib.decompress(base64.b85decode(note.removeprefix(_VERSION)))
    except (ValueError, binascii.Error, zlib.error):
        return frozenset()
    return frozenset(
        first + index * 8 + bit for index, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1
    )
