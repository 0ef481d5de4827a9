"""Following one partition of a few topics from now on, without a group."""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, consumer_at, partition_count, reaching, seek_to_ends
from holdfast.schemas.codec import DecodeError
from holdfast.schemas.partitioner import partition_of

POLL_MS = 200

Taker = Callable[[Any], None]
"""Takes one record of a topic. Raises DecodeError for one that must be readable and is not."""


class Follower:
    """Hands the records of a key's partition to `takers`, by the topic with its prefix; an async context manager.

    It follows from the moment it is entered, so enter it *before* sending. Entering raises CommandError if no broker
    answers or a topic is missing.
    """

    def __init__(self, bootstrap: str, key: bytes, takers: Mapping[str, Taker]) -> None:
        self._bootstrap = bootstrap
        self._key = key
        self._takers = takers
        self._partition = 0
        self._open = AsyncExitStack()
        self._consumer: AIOKafkaConsumer

    async def __aenter__(self) -> Self:
        try:
            self._consumer = await self._open.enter_async_context(consumer_at(self._bootstrap))
            await reaching(self._bootstrap, self._stand_at_ends())
        except TimeoutError as exc:
            await self._open.aclose()
            raise CommandError(
                f"the topics could not be read within {KAFKA_TIMEOUT_S:.0f} s",
                cure="`holdfast topics check`, `holdfast doctor`",
            ) from exc
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def _stand_at_ends(self) -> None:
        count = await partition_count(self._consumer, next(iter(self._takers)))
        self._partition = partition_of(self._key, count)
        await seek_to_ends(self._consumer, [TopicPartition(topic, self._partition) for topic in self._takers])

    async def _hear(self, give_up_at: float) -> None:
        """Take what has come, or wait a moment for it. Raises TimeoutError once it is that late."""
        left_ms = int((give_up_at - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise TimeoutError
        for partition, records in (await self._consumer.getmany(timeout_ms=min(POLL_MS, left_ms))).items():
            take = self._takers[partition.topic]
            for record in records:
                try:
                    take(record)
                except DecodeError as exc:
                    place = f"{partition.topic}/{partition.partition}/{record.offset}"
                    raise CommandError(
                        f"the record at {place} cannot be read: {exc}", cure="a newer version may have written it"
                    ) from exc
