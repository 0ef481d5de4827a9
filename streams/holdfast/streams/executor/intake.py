"""Tasks from the topic to whoever waits for a slot, and finished offsets back.

It reads ahead, so that what waits for a limit or behind a busy tenant does not stand before others. The consumer is
polled all the time, so that it stays a member of its group. Pause flags do not survive a rebalance, so a poll that was
made only to stay alive may return records: they are kept.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from holdfast.schemas import codec
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.record import Message, Record
from holdfast.streams.executor.attempt import Delivery, Spawn
from holdfast.streams.executor.clients import Listener
from holdfast.streams.executor.dispatcher import Dispatcher
from holdfast.streams.executor.limits import (
    CLAIMS_ON_REVOKE_S,
    FETCH_LIMIT,
    KEEP_ALIVE_S,
    POLL_MS,
    WAITING_LIMIT_BYTES,
)
from holdfast.streams.executor.progress import PartitionProgress, noted_after
from holdfast.streams.executor.sending_on import SendingOn
from holdfast.streams.executor.tickets import Waiting
from holdfast.streams.executor.worker import Worker

_log = logging.getLogger(__name__)
Taker = Callable[[Message[Any], Delivery], None]
Assigned = Callable[[Iterable[TopicPartition], int, int], None]


class ReplacedError(Exception):
    """Another process goes by this executor's instance id."""


async def _end(error: Exception) -> None:
    raise error


class Intake(Listener):
    """Reads one topic: tasks for the dispatcher, and other records for their takers by type.

    `assigned` is told the partitions, how many the topic has, and the generation of the group.
    """

    def __init__(
        self,
        worker: Worker,
        dispatcher: Dispatcher,
        tasks: type[Record],
        takers: Mapping[type[Record], Taker],
        sending_on: SendingOn,
        *,
        waiting_limit: int,
        open_limit: int,
        replaced: Callable[[AIOKafkaConsumer], Awaitable[bool]],
        assigned: Assigned,
        spawn: Spawn,
    ) -> None:
        self._worker = worker
        self._dispatcher = dispatcher
        self._tasks = tasks
        self._takers = takers
        self._sending_on = sending_on
        self._waiting_limit = waiting_limit
        self._open_limit = open_limit
        self._replaced = replaced
        self._assigned = assigned
        self._spawn = spawn
        self._joined = False
        self._era = 0
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._read_to: dict[TopicPartition, int] = {}

    @property
    def unread(self) -> int:
        """How many records of its partitions were not read yet, as far as the last fetches tell."""
        mine = self.consumer.assignment()
        known = {tp: position for tp, position in self._read_to.items() if tp in mine}
        return sum(max((self.consumer.highwater(tp) or 0) - position, 0) for tp, position in known.items())

    async def run(self) -> None:
        """Read until cancelled. Raises KafkaError."""
        while True:
            room = self._room()
            if room > 0:
                self._resume()
                await self._keep(await self.consumer.getmany(timeout_ms=POLL_MS, max_records=min(room, FETCH_LIMIT)))
            elif self._open() >= self._open_limit and await self._move_on():
                continue
            elif not await self._shrunk():
                self.consumer.pause(*self.consumer.assignment())
                await self._keep(await self.consumer.getmany(timeout_ms=0))

    async def commit_regularly(self, every_s: float) -> None:
        """Commit finished offsets until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.commit()

    async def commit(self) -> None:
        """Commit every partition's finished offsets, if they moved."""
        moved = [(progress, to) for progress in self._progress.values() if (to := progress.to_commit())]
        if not moved:
            return
        try:
            await self.consumer.commit({progress.partition: to for progress, to in moved})
        except (CommitFailedError, IllegalStateError) as exc:
            _log.info("offsets were not committed, their partitions have moved: %s", exc)
        except KafkaError as exc:
            if not exc.retriable:
                raise
            _log.warning("offsets were not committed, will try again: %r", exc)
        else:
            for progress, to in moved:
                progress.committed, progress.noted = to

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
        self._era += 1
        self._progress = {tp: progress for tp, progress in self._progress.items() if tp not in gone}
        self._read_to = {tp: offset for tp, offset in self._read_to.items() if tp not in gone}
        self._dispatcher.take_out(lambda ticket: ticket.item.delivery.progress.partition in gone)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Progress begins with the first record."""
        self._joined = True
        partitions = list(assigned)
        count = max((len(self.consumer.partitions_for_topic(tp.topic) or ()) for tp in partitions), default=1)
        self._assigned(partitions, count, self.consumer._coordinator.generation)

    async def send_strays(self) -> None:
        """Hand on what belongs to another executor."""
        strays = self._dispatcher.take_strays()
        if strays:
            await self._sending_on.to_first_partition([waiting.delivery.record for waiting in strays])
            for waiting in strays:
                waiting.delivery.finish()

    def _open(self) -> int:
        return sum(map(len, self._progress.values()))

    def _room(self) -> int:
        if self._dispatcher.waiting_bytes >= WAITING_LIMIT_BYTES:
            return 0
        return min(self._waiting_limit - len(self._dispatcher.schedule), self._open_limit - self._open())

    def _resume(self) -> None:
        paused = self.consumer.paused()
        if paused:
            self.consumer.resume(*paused)

    async def _shrunk(self) -> bool:
        """Wait for a while until fewer tasks wait."""
        self._dispatcher.shrunk.clear()
        try:
            await asyncio.wait_for(self._dispatcher.shrunk.wait(), KEEP_ALIVE_S)
        except TimeoutError:
            return False
        return True

    async def _move_on(self) -> bool:
        """Put what waits at the head of a partition to its end: a few tasks must not stop all those that come after."""
        longest = max(self._progress.values(), key=len)
        first, last = longest.open_range
        waiting = self._dispatcher.take_out(
            lambda ticket: ticket.item.delivery.progress is longest and ticket.item.offset <= (first + last) // 2
        )
        await self._sending_on.to_the_end([task.delivery.record for task in waiting])
        for task in waiting:
            task.delivery.finish()
        return bool(waiting)

    async def _keep(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        for partition, records in batches.items():
            progress = self._progress.get(partition) or await self._begin(partition)
            if progress is None:
                continue  # a rebalance came in between: whoever has the partition now reads them again
            self._read_to[partition] = records[-1].offset + 1
            for record in records:
                if progress.take(record.offset):
                    await self._hand_over(record, Delivery(progress, record))
        if batches:
            self._dispatcher.begin()
            await self.send_strays()

    async def _begin(self, partition: TopicPartition) -> PartitionProgress | None:
        """The progress of a partition whose first records have come: what its last owner has noted is done."""
        era = self._era
        found = await self.consumer._coordinator.fetch_committed_offsets([partition])
        if era != self._era:
            return None
        progress = self._progress[partition] = PartitionProgress(partition)
        committed = found.get(partition)
        if committed is not None and committed.offset >= 0:
            progress.done_before = noted_after(committed.offset, committed.metadata or "")
        return progress

    async def _hand_over(self, record: ConsumerRecord, delivery: Delivery) -> None:
        try:
            message = codec.decode(record.value)
            kind = type(message.body)
            if kind is self._tasks:
                self._dispatcher.offer(Waiting(message, delivery))  # type: ignore[arg-type]
            elif (take := self._takers.get(kind)) is not None:
                take(message, delivery)
            else:
                raise DecodeError("unexpected_record", f"{message.meta.type} does not belong on {record.topic}")
        except DecodeError as exc:
            _log.error("%s[%d]@%d: %s: %s", record.topic, record.partition, record.offset, exc.code, exc)
            await self._sending_on.to_dead_letters(record, exc)
            delivery.finish()
