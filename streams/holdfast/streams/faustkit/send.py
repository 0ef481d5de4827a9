"""Durable sends: straight to the aiokafka producer that Faust owns, every acknowledgement awaited.

Records are put into batches here, one future per batch: a future and a metadata look-up for each record were a tenth of
the orchestrator's CPU.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from holdfast.schemas.headers import Headers
from holdfast.schemas.partitioner import partition_of


class Outgoing(NamedTuple):
    """One record to send; without a partition, the key decides (murmur2)."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


class Appended(NamedTuple):
    """Where the broker put a record."""

    topic_partition: TopicPartition
    offset: int


class Sender(Protocol):
    """Whoever makes records durable."""

    async def send_all(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Send, and wait for every acknowledgement: where each record is, in order."""


class DurableSender:
    """Sends records and waits until the broker has them all. Not for concurrent use on one partition's order."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._counts: dict[str, int] = {}

    async def producer(self) -> Any:
        """The aiokafka producer."""
        return (await self._app.maybe_start_producer())._producer

    async def partition_count(self, topic: str) -> int:
        """Number of partitions of a topic, 0 if there is none; its metadata is loaded for the sends to come."""
        producer = await self.producer()
        try:
            count = len(await producer.partitions_for(topic))
        except UnknownTopicOrPartitionError:
            count = 0
        self._counts[topic] = count
        return count

    async def send_all(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Send, and wait for every acknowledgement: where each record is, in order.

        Records of one partition keep their order. Raises the first failure, after all sends have ended.
        """
        if not records:
            return []
        producer = await self.producer()
        batches: list[tuple[TopicPartition, Any]] = []
        open_batch: dict[TopicPartition, int] = {}
        places: list[tuple[int, int]] = []
        for record in records:
            partition = record.partition
            if partition is None:
                partition = await self._chosen_partition(record)
            tp = TopicPartition(record.topic, partition)
            number = open_batch.get(tp, -1)
            added = _append(batches[number][1], record) if number >= 0 else None
            if added is None:
                number = open_batch[tp] = len(batches)
                batches.append((tp, producer.create_batch()))
                added = _append(batches[number][1], record)
                assert added is not None, "an empty batch takes any record"
            places.append((number, added.offset))
        bases = await self._send_batches(producer, batches)
        return [Appended(batches[number][0], bases[number] + offset) for number, offset in places]

    async def _chosen_partition(self, record: Outgoing) -> int:
        count = self._counts.get(record.topic) or await self.partition_count(record.topic)
        return _partition(record.key or b"", count)

    async def _send_batches(self, producer: Any, batches: Sequence[tuple[TopicPartition, Any]]) -> list[int]:
        sends = []
        for tp, batch in batches:
            batch.close()  # nobody else's records go into it
            sends.append(await producer.send_batch(batch, tp.topic, partition=tp.partition))
        results: list[Any] = await asyncio.gather(*sends, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result.offset for result in results]


def _append(batch: Any, record: Outgoing) -> Any:
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers or [])


@lru_cache(maxsize=16_384)
def _partition(key: bytes, count: int) -> int:
    return partition_of(key, count)
