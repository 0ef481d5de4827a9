"""A broker as far as it matters: logs of bytes with the broker's own time, committed offsets, and groups."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from aiokafka import TopicPartition

from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.loop import VirtualLoop
from holdfast.schemas.headers import Headers

START_MS = 1_767_225_600_000
"""When every simulation begins: 2026-01-01T00:00:00Z."""
SESSION_TIMEOUT_S = 10.0
REBALANCE_TIMEOUT_S = 12.0


@dataclass(slots=True, frozen=True)
class Record:
    """A record where it stands. `timestamp` is the broker's time of its append in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Broker:
    """Partitioned logs in memory. `watch` is called with each record that is appended, before anybody can read it."""

    def __init__(self, loop: VirtualLoop, partitions: int, watch: Callable[[Record], None]) -> None:
        self.loop = loop
        self.partitions = partitions
        self.ahead_ms = 0
        self._watch = watch
        self._logs: dict[TopicPartition, list[Record]] = {}
        self._readers: dict[TopicPartition, list[asyncio.Future[None]]] = {}
        self.committed: dict[str, dict[TopicPartition, tuple[int, str]]] = {}

    def now_ms(self) -> int:
        """The broker's time."""
        return START_MS + int(self.loop.time() * 1000) + self.ahead_ms

    def log(self, topic: str, partition: int) -> Sequence[Record]:
        """Everything that a partition holds."""
        return self._logs.get(TopicPartition(topic, partition), ())

    def all_of(self, topic: str) -> list[Record]:
        """Everything that a topic holds, partition by partition."""
        return [record for partition in range(self.partitions) for record in self.log(topic, partition)]

    def append(self, place: TopicPartition, key: bytes | None, value: bytes | None, headers: Headers) -> Record:
        """Append a record and wake up whoever waits for it."""
        log = self._logs.setdefault(place, [])
        record = Record(place.topic, place.partition, len(log), self.now_ms(), key, value, headers)
        log.append(record)
        self._watch(record)
        for reader in self._readers.pop(place, ()):
            if not reader.done():
                reader.set_result(None)
        return record

    def arrival(self, places: Sequence[TopicPartition]) -> "asyncio.Future[None]":
        """Ends when the next record is appended to one of the places."""
        future: asyncio.Future[None] = self.loop.create_future()
        for place in places:
            self._readers.setdefault(place, []).append(future)
        return future

    def position(self, group: str, place: TopicPartition) -> int:
        """Where a group has to go on."""
        return self.committed.get(group, {}).get(place, (0, ""))[0]


class Member(Protocol):
    """A member of a group. Both are called outside of the member's process, and start what it does about it."""

    name: str

    def prepare(self, joined: Callable[[], None]) -> None:
        """A rebalance has begun: `joined` is to be called when nothing is under way any more."""

    def assigned(self, generation: int, partitions: frozenset[int]) -> None:
        """A rebalance has ended."""


class Group:
    """Members that share partitions. Every change is a rebalance: all let go, then each is given its part."""

    def __init__(self, broker: Broker, name: str, faults: Faults) -> None:
        self.name = name
        self.generation = 0
        self._broker = broker
        self._random = faults.stream(f"group/{name}")
        self._members: dict[str, Member] = {}
        self._joined: set[str] | None = None
        self._again = False
        self._round = 0

    def join(self, member: Member) -> None:
        """Add a member, or one that comes back under the name of another."""
        self._members[member.name] = member
        if self._joined is None:
            self.rebalance()
        else:
            self._joined.add(member.name)
            self._settle()

    def leave(self, member: Member) -> None:
        """Remove a member that has said goodbye, or was silent for too long."""
        if self._members.get(member.name) is member:
            del self._members[member.name]
            if self._joined is None:
                self.rebalance()
            else:
                self._joined.discard(member.name)
                self._settle()

    def has(self, member: Member, generation: int) -> bool:
        """True for a member that knows of the last rebalance."""
        return self._members.get(member.name) is member and generation == self.generation

    def commit(self, member: Member, generation: int, offsets: Mapping[TopicPartition, tuple[int, str]]) -> bool:
        """Keep offsets with their notes; False if the member has missed a rebalance."""
        if not self.has(member, generation):
            return False
        self._broker.committed.setdefault(self.name, {}).update(offsets)
        return True

    def rebalance(self) -> None:
        """Begin a rebalance, or let the one under way be followed by another."""
        if self._joined is not None:
            self._again = True
            return
        self._joined = set()
        self._round += 1
        self._broker.loop.outside(REBALANCE_TIMEOUT_S, self._give_up_waiting, self._round)
        for member in list(self._members.values()):
            member.prepare(partial(self._join_again, member, self._round))
        self._settle()

    def _join_again(self, member: Member, round_: int) -> None:
        if self._joined is not None and round_ == self._round and self._members.get(member.name) is member:
            self._joined.add(member.name)
            self._settle()

    def _give_up_waiting(self, round_: int) -> None:
        if self._joined is None or round_ != self._round:
            return
        for name in [name for name in self._members if name not in self._joined]:
            del self._members[name]
        self._settle()

    def _settle(self) -> None:
        if self._joined is None or not self._members.keys() <= self._joined:
            return
        self._joined = None
        self.generation += 1
        names = sorted(self._members)
        self._random.shuffle(names)
        parts: dict[str, set[int]] = {name: set() for name in names}
        for partition in range(self._broker.partitions if names else 0):
            parts[names[(partition + self.generation) % len(names)]].add(partition)
        for name in names:
            self._members[name].assigned(self.generation, frozenset(parts[name]))
        if self._again:
            self._again = False
            self._broker.loop.outside(0.05, self.rebalance)


def places(topics: Sequence[str], partitions: Sequence[int]) -> list[TopicPartition]:
    """The partitions of several topics."""
    return [TopicPartition(topic, partition) for topic in topics for partition in sorted(partitions)]
