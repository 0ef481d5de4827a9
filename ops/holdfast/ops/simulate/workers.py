"""The orchestrator's process: the real fold, ingress, correlator and timers, with a stand-in for Faust around them.

What is stood in for is what Faust and Kafka's clients do: the group, the changelogs, the batches and the commits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from holdfast.ops.simulate.broker import SESSION_TIMEOUT_S, Broker, Group, Record
from holdfast.ops.simulate.clients import LATENCY_S, Wire
from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.processes import Process, Told
from holdfast.schemas import topics
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.correlator.agent import Correlator
from holdfast.streams.faustkit.pulse import Pulse
from holdfast.streams.faustkit.schema import read
from holdfast.streams.folding import Folding
from holdfast.streams.ingress import Admission
from holdfast.streams.recovery import Tail, known_journal_offset, take_record
from holdfast.streams.row_store import RowStore
from holdfast.streams.row_table import RowTable

COMMIT_EVERY_S = 1.0
BATCH_SIZES = (1, 1, 2, 3, 8, 40)
LAST_WORK_S = 3.0
"""How long a rebalance waits for the batch that is under way."""


@dataclass(slots=True)
class Message:
    """What Faust gives of a record; `timestamp` is in seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Any


class Event:
    """A decoded record, to be acknowledged."""

    __slots__ = ("_acked", "message", "value")

    def __init__(self, record: Record, acked: dict[TopicPartition, int]) -> None:
        self.message = Message(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp / 1000,
            record.key,
            record.value,
            record.headers,
        )
        self.value = read(record.key, record.value)
        self._acked = acked

    def ack(self) -> None:
        """It needs no repeat."""
        self._acked[TopicPartition(self.message.topic, self.message.partition)] = self.message.offset + 1


class Store:
    """A table's rows in memory, filled from its changelog; rows of retained partitions are not read again."""

    def __init__(self, broker: Broker, changelog: str) -> None:
        self.rows = RowStore()
        self._broker = broker
        self._changelog = changelog
        self._known: dict[int, int] = {}

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Remember that a changelog offset is in memory."""
        self._known[tp.partition] = max(offset, self._known.get(tp.partition, -1))

    def fill(self, partitions: frozenset[int]) -> None:
        """Read the changelogs of these partitions on, and drop all others."""
        self._known = {partition: known for partition, known in self._known.items() if partition in partitions}
        for partition in sorted(partitions):
            log = self._broker.log(self._changelog, partition)
            for record in log[self._known.get(partition, -1) + 1 :]:
                assert record.key is not None
                self.rows.take(record.key, record.value, partition)
            self._known[partition] = len(log) - 1
        self.rows.keep_partitions(set(partitions))


class Library:
    """The published definitions; all of them are known from the beginning."""

    def __init__(self, definitions: Iterable[CompiledDefinition]) -> None:
        self._by_hash = {definition.hash: definition for definition in definitions}
        self._by_name = {definition.definition.name: definition for definition in self._by_hash.values()}

    def by_hash(self, definition_hash: str) -> CompiledDefinition | None:
        """The definition of that hash."""
        return self._by_hash.get(definition_hash)

    def newest(self, name: str) -> CompiledDefinition | None:
        """The definition of that name."""
        return self._by_name.get(name)

    async def ensure(self, hashes: Iterable[str]) -> None:
        """Nothing is left to read."""
        del hashes

    async def refresh(self) -> None:
        """Nothing is left to read."""


class Place:
    """The worker's place in its group, as the real parts see it."""

    def __init__(self) -> None:
        self.generation = 0
        self.active = False
        self.partitions: frozenset[int] = frozenset()

    def assigned(self, topic: str) -> frozenset[int]:
        """All topics are shared out alike."""
        del topic
        return self.partitions

    def hold(self) -> None:
        """No message comes through before `active` is set anyway."""


class OrchestratorProcess(Process):
    """One life of an orchestrator."""

    def __init__(
        self, name: str, life: int, broker: Broker, faults: Faults, tell: Told, *, group: Group, library: Library
    ) -> None:
        super().__init__(name, life, broker, faults, tell)
        self.groups = [group]
        self._group = group
        self._random = faults.stream(f"worker/{name}")
        self._place = Place()
        self._acked: dict[TopicPartition, int] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._rows = Store(broker, topics.CHANGELOG.name)
        self._desks = Store(broker, topics.CORRELATOR_CHANGELOG.name)
        sender, pulse = Wire(self, "orchestrator"), Pulse(int(SESSION_TIMEOUT_S * 1000), self, self.end)
        self._pulse = pulse
        self.folding = Folding(
            topic_prefix="",
            store=self._rows,
            sender=sender,
            definitions=library,
            membership=self._place,
            pulse=pulse,
            read_tails=self._read_tails,
            clock=self,
        )
        self.correlator = Correlator(
            topic_prefix="", store=self._desks, sender=sender, membership=self._place, pulse=pulse, clock=self
        )
        self._sender = sender
        self._admission = Admission(library, "", self)

    def start(self) -> None:
        """Join the group, and let time be watched."""
        self.tell(f"{self.name} starts")
        self.spawn(self._pulse.run(lambda: False))
        self.spawn(self.folding.timers.run(self.folding.owned, lambda: False))
        self.spawn(self.correlator.timers.run(self.correlator.owned, lambda: False))
        self.spawn(self._commit_regularly())
        self._group.join(self)

    def prepare(self, joined: Callable[[], None]) -> None:
        """Let what is under way end, then let go."""
        self._place.active = False
        if self.alive:
            self.spawn(self._let_go(joined))

    async def _let_go(self, joined: Callable[[], None]) -> None:
        if self._busy:
            self._idle.clear()
            idle = asyncio.ensure_future(self._idle.wait())
            await asyncio.wait([idle], timeout=LAST_WORK_S)
            idle.cancel()
        self._commit()
        joined()

    def assigned(self, generation: int, partitions: frozenset[int]) -> None:
        """Take what a rebalance gave, once its tables have been read."""
        self._place.generation, self._place.partitions = generation, partitions
        self._acked.clear()
        self.spawn(self._begin(generation))

    async def _begin(self, generation: int) -> None:
        await asyncio.sleep(self._random.uniform(0.01, 0.3))
        if generation != self._place.generation:
            return
        for store in (self._rows, self._desks):
            store.fill(self._place.partitions)
        await self.correlator.recover()
        if generation != self._place.generation:
            return
        await self.folding.recover()
        if generation != self._place.generation:
            return
        self._place.active = True
        work: dict[str, Callable[[Sequence[Any]], Awaitable[None]]] = {
            topics.INBOX.name: self.folding.fold,
            topics.REQUESTS.name: self._admit,
            topics.CORRELATIONS.name: self.correlator.fold,
        }
        for topic, handle in work.items():
            self.spawn(self._consume(topic, handle, generation))

    async def _read_tails(self, table: RowTable, partitions: Iterable[int]) -> dict[int, Tail]:
        tails = {partition: Tail() for partition in sorted(partitions)}
        await asyncio.sleep(self._random.uniform(*LATENCY_S))
        for partition in tails:
            known = known_journal_offset(table, partition)
            for record in self.broker.log(topics.JOURNAL.name, partition)[known + 1 :]:
                take_record(tails, table, record)
        return tails

    async def _consume(self, topic: str, handle: Callable[[Sequence[Any]], Awaitable[None]], generation: int) -> None:
        places = [TopicPartition(topic, partition) for partition in sorted(self._place.partitions)]
        positions = {place: self.broker.position(self._group.name, place) for place in places}
        while places and self._current(generation):
            events = self._batch(places, positions)
            if not events:
                await self.broker.arrival(places)
                await asyncio.sleep(self._random.uniform(*LATENCY_S))
                continue
            self._busy += 1
            try:
                await handle(events)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

    def _current(self, generation: int) -> bool:
        return self._place.active and generation == self._place.generation

    def _batch(self, places: list[TopicPartition], positions: dict[TopicPartition, int]) -> list[Event]:
        """Some of what there is to read, the partitions mixed."""
        size = self._random.choice(BATCH_SIZES)
        events: list[Event] = []
        while len(events) < size:
            ready = [place for place in places if positions[place] < len(self.broker.log(*place))]
            if not ready:
                break
            place = self._random.choice(ready)
            events.append(Event(self.broker.log(*place)[positions[place]], self._acked))
            positions[place] += 1
        return events

    async def _admit(self, events: Sequence[Any]) -> None:
        await self._sender.send_all(await self._admission.admit(events))
        for event in events:
            event.ack()

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            self._commit()

    def _commit(self) -> None:
        if self._acked and not self.faults.happens("commit lost"):
            offsets = {place: (offset, "") for place, offset in self._acked.items()}
            self._group.commit(self, self._place.generation, offsets)
