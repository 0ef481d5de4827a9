"""Kafka for commands: clients that give up in time, and readers of chosen partitions without a group."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from holdfast.ops.errors import CommandError

KAFKA_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 3.0

AnyT = TypeVar("AnyT")
Offsets = Mapping[TopicPartition, int]


async def reaching(bootstrap: str, work: Awaitable[AnyT], *, timeout_s: float = KAFKA_TIMEOUT_S) -> AnyT:
    """The result of work that needs the broker. Raises CommandError if it refuses, TimeoutError if it is late."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except UnknownTopicOrPartitionError as exc:
        raise CommandError("a topic is missing", cure="`holdfast topics apply`") from exc
    except MessageSizeTooLargeError as exc:
        raise CommandError(
            "the record is larger than Kafka takes", cure="keep large values outside and send an id"
        ) from exc
    except KafkaConnectionError as exc:
        raise CommandError(
            f"no Kafka broker answers at {bootstrap}", cure="`holdfast up`, or set HOLDFAST_BOOTSTRAP"
        ) from exc
    except KafkaError as exc:
        raise CommandError(f"Kafka refused: {exc!r}", cure="`holdfast doctor`") from exc


async def closed(stopping: Awaitable[None]) -> None:
    """Wait for a client to stop, but not for ever: without a broker its flush would never end."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await stopping
    except (TimeoutError, KafkaError):
        return  # whatever was to be said about the broker has been said by then
    except asyncio.CancelledError:
        # A client that is stopped while it waits for a broker lets the end of its own tasks through.
        if (task := asyncio.current_task()) and task.cancelling():
            raise


async def partition_count(consumer: AIOKafkaConsumer, topic: str) -> int:
    """The number of a topic's partitions. Raises CommandError if there is no such topic."""
    if topic not in await consumer.topics():
        raise CommandError(f"the topic {topic} is missing", cure="`holdfast topics apply`")
    # `partitions_for_topic` answers from what is known already, which is nothing before the first assignment.
    return len(await consumer._client._wait_on_metadata(topic))


@asynccontextmanager
async def consumer_at(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer without a group, to be assigned by the caller. Raises CommandError, TimeoutError."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await reaching(bootstrap, consumer.start())
        yield consumer
    finally:
        await closed(consumer.stop())


async def seek_to_ends(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
    """Assign the partitions and stand at their ends as they are now, not as they will be at the first fetch."""
    consumer.assign(list(partitions))
    for partition, offset in (await consumer.end_offsets(list(partitions))).items():
        consumer.seek(partition, offset)
