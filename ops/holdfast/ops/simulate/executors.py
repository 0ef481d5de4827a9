"""The executors' and the sink's processes: the real ones, with stand-ins for their Kafka clients and for ClickHouse."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from holdfast.ops.simulate.broker import Broker, Group
from holdfast.ops.simulate.clients import LATENCY_S, Consumer, Producer
from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.processes import Process, Told
from holdfast.projections.batch import TOPIC_NAMES, Batch
from holdfast.projections.patience import Patience
from holdfast.projections.sink import Sink, SinkConfig
from holdfast.projections.writer import Writer
from holdfast.schemas import topics
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.config import ExecutorConfig
from holdfast.streams.executor.searches import Search
from holdfast.streams.executor.serving import Serving

TICK_S = 0.5
COMMIT_EVERY_S = 1.0
GRACE_MS = 3_000
NEWS = (topics.GRANTS.name, topics.CONTROLS.name, topics.QUEUES.name)
BOOTSTRAP = "simulated:9092"


class MemberProcess(Process):
    """A process with one consumer in one group."""

    def __init__(
        self,
        name: str,
        life: int,
        broker: Broker,
        faults: Faults,
        tell: Told,
        *,
        group: Group,
        names: Sequence[str],
        patient: bool,
    ) -> None:
        super().__init__(name, life, broker, faults, tell)
        self.groups = [group]
        self.group = group
        self.consumer = Consumer(self, names, group, patient=patient)
        self._generation = -1

    def prepare(self, joined: Callable[[], None]) -> None:
        """Let go of everything before a rebalance."""
        self.consumer.prepare(joined)

    def assigned(self, generation: int, partitions: frozenset[int]) -> None:
        """Take what a rebalance gave."""
        self._generation = generation
        self.consumer.assigned(generation, partitions)

    def woken(self) -> None:
        """Join again if the group has given this member up meanwhile."""
        if not self.group.has(self, self._generation):
            self.consumer.prepare(lambda: self.group.join(self))


class ExecutorProcess(MemberProcess):
    """One life of an executor."""

    def __init__(
        self,
        name: str,
        life: int,
        broker: Broker,
        faults: Faults,
        tell: Told,
        *,
        group: Group,
        calls: Calls,
        search: Callable[[Process], Search] | None,
        slots: int,
    ) -> None:
        super().__init__(name, life, broker, faults, tell, group=group, names=[calls.topic.name], patient=True)
        self._stopping = asyncio.Event()
        config = ExecutorConfig(
            bootstrap=BOOTSTRAP, topic_prefix="", executor_id=f"{name}/{life}", slots=slots, grace_ms=GRACE_MS
        )
        self._serving = Serving(
            config,
            calls,
            producer=Producer(self),
            news=Consumer(self, NEWS, None, patient=True),
            search=search(self) if search is not None else None,
            replaced=_nobody_else,
            spawn=self.spawn,
            clock=self,
            tick_s=TICK_S,
            commit_every_s=COMMIT_EVERY_S,
        )
        self._serving.intake.consumer = self.consumer
        self.consumer.on_prepare = self._serving.intake.on_partitions_revoked
        self.consumer.on_assigned = self._serving.intake.on_partitions_assigned

    def start(self) -> None:
        """Hear of grants, and join the group."""
        self.tell(f"{self.name} starts")
        self.spawn(self._run())
        self.group.join(self)

    async def _run(self) -> None:
        await self._serving.run(self._stopping)
        self.tell(f"{self.name} has stopped in order")
        self.group.leave(self)
        self.kill("is gone")

    def stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        self.tell(f"{self.name} is asked to stop")
        self._stopping.set()


async def _nobody_else(consumer: Any) -> bool:
    del consumer
    return False


class Tables:
    """Stands in for ClickHouse: rows under their identity, so that what is inserted again collapses."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[Any, ...], list[Any]]] = {}

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[list[Any]]) -> None:
        """Insert rows."""
        name = table.rpartition(".")[2]
        identity = [columns.index(column) for column in _IDENTITY[name]]
        kept = self.rows.setdefault(name, {})
        for row in rows:
            kept[tuple(row[position] for position in identity)] = row


_AT = ("topic", "kafka_partition", "kafka_offset")
_IDENTITY = {
    "events": ("tenant", "workflow_id", "sequence", "event_id"),
    "request_rejections": _AT,
    "expired_events": _AT,
    "dead_letters": _AT,
}


class SinkProcess(MemberProcess):
    """One life of the sink."""

    def __init__(
        self, name: str, life: int, broker: Broker, faults: Faults, tell: Told, *, group: Group, tables: Tables
    ) -> None:
        super().__init__(name, life, broker, faults, tell, group=group, names=TOPIC_NAMES, patient=False)
        config = SinkConfig(bootstrap=BOOTSTRAP, topic_prefix="", database_dir=Path(), bridge_port=0, bridge_token="")
        self._writer = Writer(tables, "holdfast")
        self._random = faults.stream(f"sink/{name}")
        self._sink = Sink(config, self.consumer, self._write, Patience(), self.monotonic_s)

    def start(self) -> None:
        """Join the group."""
        self.tell(f"{self.name} starts")
        self.spawn(self._sink.run(asyncio.Event()))
        self.group.join(self)

    async def _write(self, batch: Batch) -> None:
        await asyncio.sleep(self._random.uniform(*LATENCY_S))
        if self.faults.happens("sink killed before the insert"):
            self.kill("is killed before its insert")
        elif self.faults.happens("sink killed between insert and commit"):
            self._writer.write(batch)
            self.kill("is killed between its insert and its commit")
        else:
            self._writer.write(batch)
        await asyncio.sleep(0)
