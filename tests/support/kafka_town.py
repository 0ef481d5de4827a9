"""A town on a real broker: the same plays, folded by an orchestrator that is a process."""

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from holdfast.ops.client import Client
from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas import tasks as t
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.recovery import Tail
from holdfast.streams.rows import PARTITION_ROW_KEY
from support.town import Town

SETTLE_S = 60.0


class Engine:
    """An engine's topics as plays need them: write an input, wait until everything it leads to is folded, read on.

    A context manager with a loop of its own. `unread` are the records of journal and tasks that nobody took yet.
    """

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        self._numbers = range(partitions)
        self._runner = asyncio.Runner()
        self._folded: dict[int, int] = {}
        self.unread: list[tuple[str, bytes, Message[Record], int]] = []

    def __enter__(self) -> Self:
        self._runner.run(self._connect())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._disconnect())
        self._runner.close()

    async def _connect(self) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await self._producer.start()
        await self._consumer.start()
        names = (topics.CHANGELOG, topics.JOURNAL, topics.TASKS_TOOL)
        self._consumer.assign(
            [TopicPartition(self._prefix + topic.name, number) for topic in names for number in self._numbers]
        )

    async def _disconnect(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    def publish(self, definitions: list[CompiledDefinition]) -> None:
        self._runner.run(self._publish(definitions))

    async def _publish(self, definitions: list[CompiledDefinition]) -> None:
        async with Client(self._bootstrap, self._prefix, "default", "ann") as client:
            for compiled in definitions:
                await client.publish(compiled.definition)

    def put(self, body: Record, meta: EventMeta) -> None:
        """Write an input, and wait until it is folded and every letter that it led to as well."""
        self._runner.run(self._put(body, meta))

    async def _put(self, body: Record, meta: EventMeta) -> None:
        key = ids.workflow_key(meta.tenant, meta.workflow_id).encode()
        value, about = codec.encode(body, meta), headers.cloud_event(body, meta, "/test")
        await self._producer.send_and_wait(self._prefix + topics.INBOX.name, value, key=key, headers=about)
        await asyncio.wait_for(self._settle(), SETTLE_S)

    async def _settle(self) -> None:
        inbox = [TopicPartition(self._prefix + topics.INBOX.name, number) for number in self._numbers]
        ends = await self._consumer.end_offsets(inbox)
        while any(self._folded.get(place.partition, -1) < end - 1 for place, end in ends.items()):
            await self._read_on()
            ends = await self._consumer.end_offsets(inbox)
        # What was folded has been written, but perhaps not been read yet.
        written = await self._consumer.end_offsets(list(self._consumer.assignment()))
        while any([await self._consumer.position(place) < end for place, end in written.items()]):
            await self._read_on()

    async def _read_on(self) -> None:
        for place, records in (await self._consumer.getmany(timeout_ms=50)).items():
            for record in records:
                self._take(place.topic.removeprefix(self._prefix), record)

    def _take(self, topic: str, record: Any) -> None:
        if topic != topics.CHANGELOG.name:
            self.unread.append((topic, record.key, codec.decode(record.value), record.offset))
        elif record.key == PARTITION_ROW_KEY:
            row: Any = codec.decode_row(record.value)
            self._folded[record.partition] = row.inbox_offset


@dataclass
class KafkaTown(Town):
    """Workflows of one tenant of an engine. Time is the broker's: nothing fires when a play says so."""

    engine: Engine | None = None
    tenant: str = ""
    tail: Tail = field(default_factory=Tail)
    sent: int = 0

    def send(
        self, workflow_id: str, body: Record, actor: tuple[str, str] = ("person", "ann"), input_id: str = ""
    ) -> None:
        assert self.engine is not None
        self.sent += 1
        meta = EventMeta(
            event_id=input_id or ids.derived_id(self.tenant, self.sent),
            type=type(body).__name__,
            tenant=self.tenant,
            workflow_id=workflow_id,
            actor_kind=actor[0],
            actor_id=actor[1],
            occurred_at_ms=int(time.time() * 1000),
        )
        self.engine.put(body, meta)
        for topic, key, message, offset in self.engine.unread:
            if message.meta.tenant == self.tenant:
                self._hear(topic, key, message, offset)
        self.engine.unread.clear()

    def _hear(self, topic: str, key: bytes, message: Message[Record], offset: int) -> None:
        if topic == topics.TASKS_TOOL.name:
            if isinstance(message.body, t.RunToolCall):
                self.tasks.append(message.body)
            return
        name = message.meta.workflow_id
        if self.tail.take(None, key, message, offset):
            self.rows[name] = self.tail.rows[key]
        self.journals.setdefault(name, []).append(message.body)

    def fire(self, workflow_id: str = "w-1") -> None:
        raise AssertionError("time cannot be moved on a broker")
