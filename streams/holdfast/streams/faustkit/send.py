"""Durable sends: straight to the aiokafka producer that Faust owns, every acknowledgement awaited."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka.errors import UnknownTopicOrPartitionError

from holdfast.schemas.headers import Headers


class Outgoing(NamedTuple):
    """One record to send; without a partition, the key decides (murmur2)."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


class DurableSender:
    """Sends batches of records and waits until the broker has them all."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def producer(self) -> Any:
        """The aiokafka producer."""
        return (await self._app.maybe_start_producer())._producer

    async def partition_count(self, topic: str) -> int:
        """Number of partitions of a topic, 0 if there is none; its metadata is loaded for the sends to come."""
        producer = await self.producer()
        try:
            return len(await producer.partitions_for(topic))
        except UnknownTopicOrPartitionError:
            return 0

    async def send_all(self, records: Sequence[Outgoing]) -> list[Any]:
        """Send, and wait for every acknowledgement: the broker's metadata per record, in order.

        Raises the first failure, after all sends have ended.
        """
        if not records:
            return []
        producer = await self.producer()
        sends = [
            await producer.send(r.topic, r.value, key=r.key, partition=r.partition, headers=r.headers or [])
            for r in records
        ]
        results = await asyncio.gather(*sends, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results
