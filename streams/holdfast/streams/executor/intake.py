"""Tasks from the topic into free slots, and finished offsets back.

Records wait in a local queue only while no slot is free; the consumer is polled all the time, so that it stays a
member of its group. Pause flags do not survive a rebalance, so a poll that was made only to stay alive may return
records: they are kept.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from holdfast.schemas import codec, headers
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.record import Message, Record
from holdfast.streams.executor.attempt import Delivery, Spawn
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.limits import (
    CLAIMS_ON_REVOKE_S,
    COMMIT_EVERY_S,
    KEEP_ALIVE_S,
    OPEN_OFFSETS_LIMIT,
    POLL_MS,
    STUCK_LIMIT_S,
)
from holdfast.streams.executor.progress import PartitionProgress
from holdfast.streams.executor.worker import Worker

_log = logging.getLogger(__name__)
STAGE = "executor"
Taker = Callable[[Message[Any], Delivery], None]


class AllSlotsStuckError(Exception):
    """Every slot is held by a thread that outlived its call."""


class ReplacedError(Exception):
    """Another process goes by this executor's instance id."""


async def _end(error: Exception) -> None:
    raise error


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]
    """Feeds takers, by type of record, from one topic, while the worker has slots.

    `consumer` is set once it exists: it needs this listener to be built.
    """

    consumer: AIOKafkaConsumer

    def __init__(
        self,
        worker: Worker,
        calls: Calls,
        takers: Mapping[type[Record], Taker],
        producer: AIOKafkaProducer,
        *,
        dead_letters: str,
        freed: asyncio.Event,
        replaced: Callable[[AIOKafkaConsumer], Awaitable[bool]],
        spawn: Spawn,
    ) -> None:
        self._worker = worker
        self._calls = calls
        self._takers = takers
        self._producer = producer
        self._dead_letters = dead_letters
        self._freed = freed
        self._replaced = replaced
        self._spawn = spawn
        self._joined = False
        self._buffer: deque[tuple[ConsumerRecord, Delivery]] = deque()
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._stuck_s = 0.0

    async def run(self) -> None:
        """Take tasks until cancelled. Raises KafkaError, and AllSlotsStuckError if no slot can ever become free."""
        while True:
            free = self._free()
            if self._buffer and free > 0:
                await self._hand_over_up_to(free)
            elif free > 0:
                self._resume()
                self._keep(await self.consumer.getmany(timeout_ms=POLL_MS, max_records=free))
            elif not await self._slot_freed():
                self.consumer.pause(*self.consumer.assignment())
                self._keep(await self.consumer.getmany(timeout_ms=0))

    async def commit_regularly(self) -> None:
        """Commit finished offsets until cancelled."""
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self.commit()

    async def commit(self) -> None:
        """Commit every partition's finished offsets, if they moved."""
        moved = {p.partition: p for p in self._progress.values() if p.position > p.committed}
        offsets = {partition: progress.position for partition, progress in moved.items()}
        if not offsets:
            return
        try:
            await self.consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as exc:
            _log.info("offsets were not committed, their partitions have moved: %s", exc)
        except KafkaError as exc:
            if not exc.retriable:
                raise
            _log.warning("offsets were not committed, will try again: %r", exc)
        else:
            for partition, offset in offsets.items():
                moved[partition].committed = offset

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit what is claimed or finished; drop what was not begun, its new owner gets it."""
        if self._joined and await self._replaced(self.consumer):
            self._spawn(_end(ReplacedError("another process has joined under this executor's instance_id")))
            await asyncio.Event().wait()  # until the process ends: joining again would throw the other one out
        try:
            await asyncio.wait_for(self._worker.claims_done(), CLAIMS_ON_REVOKE_S)
        except TimeoutError:
            _log.warning("a rebalance overtook claims that were on their way: their tasks are delivered again")
        await self.commit()
        gone = set(revoked)
        self._progress = {tp: progress for tp, progress in self._progress.items() if tp not in gone}
        self._buffer = deque(item for item in self._buffer if item[1].progress.partition not in gone)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Progress begins with the first record."""
        self._joined = True

    def _free(self) -> int:
        return min(self._worker.free_slots(), OPEN_OFFSETS_LIMIT - sum(map(len, self._progress.values())))

    def _resume(self) -> None:
        paused = self.consumer.paused()
        if paused:
            self.consumer.resume(*paused)

    async def _slot_freed(self) -> bool:
        """Wait for a free slot for a while."""
        self._freed.clear()
        try:
            await asyncio.wait_for(self._freed.wait(), KEEP_ALIVE_S)
        except TimeoutError:
            self._stuck_s = 0.0 if self._worker.running else self._stuck_s + KEEP_ALIVE_S
            if self._stuck_s > STUCK_LIMIT_S:
                raise AllSlotsStuckError(f"{self._calls.abandoned} calls that timed out hold all slots") from None
            return False
        self._stuck_s = 0.0
        return True

    def _keep(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for partition, records in batches.items():
            progress = self._progress.setdefault(partition, PartitionProgress(partition))
            for record in records:
                progress.take(record.offset)
                self._buffer.append((record, Delivery(progress, record.offset)))

    async def _hand_over_up_to(self, count: int) -> None:
        while self._buffer and count > 0:
            await self._hand_over(*self._buffer.popleft())
            count -= 1

    async def _hand_over(self, record: ConsumerRecord, delivery: Delivery) -> None:
        try:
            message = codec.decode(record.value)
            take = self._takers.get(type(message.body))
            if take is None:
                raise DecodeError("unexpected_record", f"{message.meta.type} does not belong on {record.topic}")
        except DecodeError as exc:
            await self._bury(record, exc)
            delivery.finish()
        else:
            take(message, delivery)

    async def _bury(self, record: ConsumerRecord, error: DecodeError) -> None:
        """Keep a record that nobody can read."""
        _log.error("%s[%d]@%d: %s: %s", record.topic, record.partition, record.offset, error.code, error)
        await self._producer.send_and_wait(
            self._dead_letters,
            record.value if record.value is not None else b"",
            key=record.key,
            headers=headers.dead_letter(
                list(record.headers),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp,
                stage=STAGE,
                code=error.code,
                message=str(error),
            ),
        )
