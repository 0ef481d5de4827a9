"""What executors of one class know of each other, so that together they keep the limits of all.

Every executor says now and then which calls it has in flight, and in which generation of the group it has its present
partitions. All members give their partitions up before a new generation begins. So once every other executor has spoken
in a generation, its former partitions have no calls that it does not tell of. And since nobody begins a limited call
before its own word stands on the topic, whoever hears itself has heard of all who may have had its partitions before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.streams.core.queues.limit import Share

SILENCE_MS = 30_000
"""An executor that says nothing for so long, the length of a lease, has ended or has stopped its calls."""


@dataclass(slots=True)
class _Peer:
    generation: int
    heard_at_ms: int
    limited: Mapping[str, int]


class Peers:
    """The other executors of a class, as one of them hears them. Times are of one clock that never goes back."""

    def __init__(self, executor_id: str) -> None:
        self._executor_id = executor_id
        self._peers: dict[str, _Peer] = {}
        self._partitions = 1
        self._owned: frozenset[int] = frozenset()
        self._settled: frozenset[int] = frozenset()
        self._assigned_at_ms = 0
        self._heard_itself = -1
        self.generation = -1

    def assigned(self, owned: Iterable[int], partitions: int, generation: int, now_ms: int) -> None:
        """This executor has these of the topic's partitions now. What it had just before is settled as it was."""
        kept = self._settled if generation == self.generation + 1 else frozenset()
        self._owned, self._partitions, self.generation = frozenset(owned), partitions, generation
        self._settled, self._assigned_at_ms = kept & self._owned, now_ms

    def heard(
        self, executor_id: str, generation: int, limited: Mapping[str, int], *, stopped: bool, now_ms: int
    ) -> None:
        """An executor has spoken, maybe this one."""
        if executor_id == self._executor_id:
            self._heard_itself = generation
        elif stopped:
            self._peers.pop(executor_id, None)
        else:
            self._peers[executor_id] = _Peer(generation, now_ms, limited)

    def share(self, now_ms: int) -> Share:
        """Which part of every limit this executor may use now."""
        self._forget_the_silent(now_ms)
        if self._heard_itself == self.generation and all(map(self._has_spoken, self._peers.values())):
            self._settled = self._owned
        return Share(self._partitions, self._owned, self._settled)

    def elsewhere(self, now_ms: int) -> dict[str, int]:
        """What the others have in flight, by limited scope."""
        self._forget_the_silent(now_ms)
        total: dict[str, int] = {}
        for peer in self._peers.values():
            for scope, count in peer.limited.items():
                total[scope] = total.get(scope, 0) + count
        return total

    def _has_spoken(self, peer: _Peer) -> bool:
        # Whoever comes back under the name of a member that was killed gets its generation too: time has to tell.
        return peer.generation >= self.generation and peer.heard_at_ms > self._assigned_at_ms

    def _forget_the_silent(self, now_ms: int) -> None:
        gone = [name for name, peer in self._peers.items() if now_ms - peer.heard_at_ms >= SILENCE_MS]
        for name in gone:
            del self._peers[name]
