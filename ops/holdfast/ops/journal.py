"""The journal as it grows, for people who watch."""

import asyncio
from collections.abc import AsyncIterator, Callable

from aiokafka import TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, consumer_at, partition_count, reaching, seek_to_ends
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.record import Message, Record
from holdfast.schemas.topics import JOURNAL

POLL_MS = 1_000


async def follow(
    bootstrap: str, topic_prefix: str, tenant: str, workflow_id: str = "", *, on_ready: Callable[[], None]
) -> AsyncIterator[Message[Record]]:
    """Events of a tenant, or of one workflow, from the call of `on_ready` on and without end.

    Raises CommandError if no broker answers, the topic is missing, or a record cannot be read.
    """
    topic = topic_prefix + JOURNAL.name
    wanted = workflow_key(tenant, workflow_id).encode()
    try:
        async with consumer_at(bootstrap) as consumer:
            count = await reaching(bootstrap, partition_count(consumer, topic))
            numbers = [partition_of(wanted, count)] if workflow_id else range(count)
            await reaching(bootstrap, seek_to_ends(consumer, [TopicPartition(topic, number) for number in numbers]))
            on_ready()
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_MS)
                _raise_if_cancelled()
                for records in batches.values():
                    for record in records:
                        if record.key == wanted or (not workflow_id and record.key.startswith(wanted)):
                            yield _event(record)
    except TimeoutError as exc:
        raise CommandError(
            f"the topic {topic} could not be read within {KAFKA_TIMEOUT_S:.0f} s",
            cure="`holdfast topics check`, `holdfast doctor`",
        ) from exc


def _raise_if_cancelled() -> None:
    # The client swallows a cancellation that meets arriving records, and with it a Ctrl-C.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _event(record: object) -> Message[Record]:
    try:
        return decode(record.value)  # type: ignore[attr-defined]
    except DecodeError as exc:
        place = f"{record.topic}/{record.partition}/{record.offset}"  # type: ignore[attr-defined]
        raise CommandError(
            f"the record at {place} cannot be read: {exc}", cure="a newer version may have written it"
        ) from exc
