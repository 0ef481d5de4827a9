"""What stands in for Kafka clients: sends that are acknowledged late or never, and consumers of a group."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from holdfast.ops.simulate.broker import Broker, Group, Record, places
from holdfast.ops.simulate.processes import Process
from holdfast.schemas.headers import Headers
from holdfast.schemas.partitioner import partition_of
from holdfast.streams.faustkit.send import Appended, Outgoing

LATENCY_S = (0.001, 0.008)
DELAY_S = (0.2, 2.0)
LONG_DELAY_S = (11.0, 25.0)
TIMER_ID = b"/holdfast/timers"


@lru_cache(maxsize=4_096)
def partition_for(key: bytes, count: int) -> int:
    """The partition that a key belongs to."""
    return partition_of(key, count)


class Wire:
    """The way of one process to the broker. Records of one partition arrive in order, all else as it likes.

    A process that is killed on the way leaves a part of what it sent: the rest is lost, or arrives later all the same.
    """

    def __init__(self, process: Process, role: str) -> None:
        self._process = process
        self._broker = process.broker
        self._faults = process.faults
        self._role = role
        self._random = process.faults.stream(f"wire/{process.name}")
        self._last: dict[TopicPartition, float] = {}

    async def send_all(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Send, and wait for every acknowledgement: where each record is, in order."""
        return await self.send(records) if records else []

    def send(self, records: Sequence[Outgoing]) -> "asyncio.Future[list[Appended]]":
        """Send at once; the future ends with every acknowledgement, or never."""
        batches = self._batches(records)
        done: asyncio.Future[list[Appended]] = self._broker.loop.create_future()
        found: list[Appended | None] = [None] * len(records)
        left = [len(batches)]
        now_s = self._broker.loop.time()
        timed = sorted((self._arrival_s(place, now_s), number) for number, (place, _) in enumerate(batches))
        arriving = self._arriving(len(timed))
        for order, (at_s, number) in enumerate(timed):
            place, positions = batches[number]
            if order < arriving:
                self._broker.loop.outside(
                    at_s - now_s, self._arrive, place, [(p, records[p]) for p in positions], found, left, done
                )
        if not self._process.alive:
            return done
        if arriving < len(timed):
            until_s = timed[arriving - 1][0] if arriving else now_s
            self._broker.loop.outside(until_s - now_s + 0.0001, self._process.kill, "is killed between appends")
        return done

    def _arriving(self, count: int) -> int:
        """How many of so many batches arrive: all of them, unless the process is killed on the way."""
        if count and self._faults.happens(f"{self._role} killed before an append"):
            self._process.kill("is killed before an append")
            return self._random.randint(1, count) if self._random.random() < 0.3 else 0  # what is on its way arrives
        if count > 1 and self._faults.happens(f"{self._role} killed between appends"):
            return self._random.randint(1, count - 1)
        return count

    def _batches(self, records: Sequence[Outgoing]) -> list[tuple[TopicPartition, list[int]]]:
        batches: list[tuple[TopicPartition, list[int]]] = []
        open_: dict[TopicPartition, list[int]] = {}
        for number, record in enumerate(records):
            partition = record.partition
            if partition is None:
                partition = partition_for(record.key or b"", self._broker.partitions)
            place = TopicPartition(record.topic, partition)
            batch = open_.get(place)
            if batch is None or self._random.random() < 0.15:
                batch = open_[place] = []
                batches.append((place, batch))
            batch.append(number)
        return batches

    def _arrival_s(self, place: TopicPartition, now_s: float) -> float:
        delay = LATENCY_S
        if self._faults.happens("append delayed"):
            delay = DELAY_S
        elif self._faults.happens("append delayed beyond a session"):
            delay = LONG_DELAY_S
        at_s = max(now_s + self._random.uniform(*delay), self._last.get(place, 0.0) + 1e-6)
        self._last[place] = at_s
        return at_s

    def _arrive(
        self,
        place: TopicPartition,
        records: Sequence[tuple[int, Outgoing]],
        found: list[Appended | None],
        left: list[int],
        done: "asyncio.Future[list[Appended]]",
    ) -> None:
        for position, record in records:
            times = self._times(record)
            for _ in range(times):
                appended = self._broker.append(place, record.key, record.value, record.headers or [])
                found[position] = Appended(place, appended.offset)
            if not times:
                found[position] = Appended(place, -1)
        left[0] -= 1
        if left[0] or not self._process.alive:
            return
        if self._faults.happens(f"{self._role} killed after an append"):
            self._process.kill("is killed after an append")
            return
        self._broker.loop.outside(self._random.uniform(*LATENCY_S), self._acknowledge, done, found)

    def _times(self, record: Outgoing) -> int:
        """How often a record arrives: firings of timers get lost and repeated."""
        if ("ce_source", TIMER_ID) in (record.headers or ()):
            if self._faults.happens("timer lost"):
                return 0
            return 2 if self._faults.happens("timer repeated") else 1
        return 1

    def _acknowledge(self, done: "asyncio.Future[list[Appended]]", found: list[Any]) -> None:
        if not done.done():
            done.set_result(found)


class Producer:
    """An executor's producer, as far as executors use one."""

    def __init__(self, process: Process) -> None:
        self._wire = Wire(process, "executor")

    async def send(
        self,
        topic: str,
        value: bytes,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> Awaitable[Any]:
        """Hand a record over; the result ends with its acknowledgement."""
        return self._wire.send([Outgoing(topic, partition, key, value, headers)])

    async def send_and_wait(
        self, topic: str, value: bytes, key: bytes | None = None, headers: Headers | None = None
    ) -> None:
        """Send a record and wait for its acknowledgement."""
        await self._wire.send([Outgoing(topic, None, key, value, headers)])


class Consumer:
    """A consumer of a group, or of whole topics from their ends on, as far as executors and the sink use one.

    `on_prepare` is awaited before a rebalance, with the partitions that are let go.
    """

    def __init__(self, process: Process, names: Sequence[str], group: Group | None, *, patient: bool = False) -> None:
        self._process = process
        self._broker: Broker = process.broker
        self._random = process.faults.stream(f"consumer/{process.name}")
        self._names = names
        self._group = group
        self._patient = patient
        self._generation = -1
        self._assignment: list[TopicPartition] = []
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._changed: asyncio.Future[None] = self._broker.loop.create_future()
        self.on_prepare: Callable[[list[TopicPartition]], Coroutine[Any, Any, None]] | None = None
        self.on_assigned: Callable[[list[TopicPartition]], Coroutine[Any, Any, None]] | None = None
        self._coordinator = self  # executors ask the client's own for what it knows of the group
        if group is None:
            self._assignment = places(names, range(self._broker.partitions))
            self._positions = {place: len(self._broker.log(*place)) for place in self._assignment}

    @property
    def generation(self) -> int:
        """That of the last rebalance that this member knows of."""
        return self._generation

    async def fetch_committed_offsets(self, which: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed, with its notes."""
        assert self._group is not None
        await asyncio.sleep(self._random.uniform(*LATENCY_S))
        kept = self._broker.committed.get(self._group.name, {})
        return {place: OffsetAndMetadata(*kept[place]) for place in which if place in kept}

    def partitions_for_topic(self, topic: str) -> set[int]:
        """All of them."""
        del topic
        return set(range(self._broker.partitions))

    def highwater(self, place: TopicPartition) -> int:
        """The end of a partition."""
        return len(self._broker.log(*place))

    async def position(self, place: TopicPartition) -> int:
        """How far a partition was read."""
        return self._positions[place]

    def assignment(self) -> set[TopicPartition]:
        """The partitions that it has."""
        return set(self._assignment)

    def positions(self) -> dict[TopicPartition, int]:
        """How far each of its partitions was read."""
        return dict(self._positions)

    def paused(self) -> set[TopicPartition]:
        """Those that it does not read now."""
        return set(self._paused)

    def pause(self, *which: TopicPartition) -> None:
        """Read nothing of these."""
        self._paused.update(which)

    def resume(self, *which: TopicPartition) -> None:
        """Read of these again."""
        self._paused.difference_update(which)

    async def getmany(self, timeout_ms: int = 0, max_records: int | None = None) -> dict[TopicPartition, list[Record]]:
        """What there is to read, waiting for it as long as that; a patient one waits until there is something."""
        if (found := self._take(max_records)) or not timeout_ms:
            return found
        while True:
            arrival = self._broker.arrival([place for place in self._assignment if place not in self._paused])
            waiting = {arrival, self._changed}
            timeout_s = None if self._patient else timeout_ms / 1000
            await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                await asyncio.sleep(self._random.uniform(*LATENCY_S))
            if (found := self._take(max_records)) or not self._patient:
                return found

    def _take(self, max_records: int | None) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        left = max_records or 1_000
        reading = [place for place in self._assignment if place not in self._paused]
        self._random.shuffle(reading)
        for place in reading:
            log, position = self._broker.log(*place), self._positions[place]
            records = list(log[position : position + left])
            if records:
                found[place] = records
                left -= len(records)
                self._positions[place] = position + len(records)
            if left <= 0:
                break
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int | tuple[int, str]]) -> None:
        """Commit offsets. Raises CommitFailedError if a rebalance was missed."""
        await asyncio.sleep(self._random.uniform(*LATENCY_S))
        assert self._group is not None
        if self._process.faults.happens("commit lost"):
            return
        noted = {place: at if isinstance(at, tuple) else (at, "") for place, at in offsets.items()}
        if not self._group.commit(self._process, self._generation, noted):
            raise CommitFailedError

    def prepare(self, joined: Callable[[], None]) -> None:
        """Let go of everything before a rebalance."""
        if self._process.alive:
            self._process.spawn(self._let_go(joined))

    async def _let_go(self, joined: Callable[[], None]) -> None:
        if self.on_prepare is not None:
            await self.on_prepare(list(self._assignment))
        self._assignment, self._positions = [], {}
        self._paused.clear()
        joined()

    def assigned(self, generation: int, partitions: frozenset[int]) -> None:
        """Take what a rebalance gave."""
        assert self._group is not None
        self._generation = generation
        self._assignment = places(self._names, sorted(partitions))
        self._positions = {place: self._broker.position(self._group.name, place) for place in self._assignment}
        changed, self._changed = self._changed, self._broker.loop.create_future()
        if not changed.done():
            changed.set_result(None)
        if self.on_assigned is not None and self._process.alive:
            self._process.spawn(self.on_assigned(list(self._assignment)))
